// `npm run demo:cluster`: three servers over three of NATS, of which one each is killed under load. `-- --headless` opens the
// page by itself, prints what became of the messages, and ends.
import { run } from './cluster/run.mjs';

const problem = await run(process.argv.slice(2)).catch((/** @type {unknown} */ error) => (error instanceof Error ? error.message : String(error)));
if (problem) console.error(`pubkeeper: ${problem}`);
process.exit(problem ? 1 : 0);
