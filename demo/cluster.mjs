// `npm run demo:cluster`: three servers over three NATS servers; one of each kind is killed under load. With `-- --headless` it opens
// the page by itself, prints what became of the messages, and ends.
import { run } from './cluster/run.mjs';

const problem = await run(process.argv.slice(2)).catch((/** @type {unknown} */ error) => (error instanceof Error ? error.message : String(error)));
if (problem) console.error(`pubkeeper: ${problem}`);
process.exit(problem ? 1 : 0);
