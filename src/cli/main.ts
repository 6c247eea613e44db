#!/usr/bin/env node
import { ExitCode } from './exit.js';
import { watchOutput } from './output.js';
import { runCommandLine } from './program.js';
import { Tell } from './tell.js';

const args = process.argv.slice(2);
const tell = new Tell(process.stderr);

// An empty variable is how one takes a variable away in a unit file or a compose file: it counts as not set. One that was
// made of a file, as secrets are in containers, ends in a line break, which belongs neither to a token nor to a key.
for (const [name, value = ''] of Object.entries(process.env)) {
  if (!name.startsWith('PUBKEEPER_')) continue;
  if (value.trim()) process.env[name] = value.trim();
  else delete process.env[name];
}

// Help that is cut short by `head` is no failure. Commands that write data also listen.
const outputFault = watchOutput();

const exitCode = await runCommandLine(args, tell);
process.exitCode = exitCode;
// What was brewed leaves before the process ends by itself. Nothing else is worth waiting for a server that is stuck.
if (args[0] !== 'brew' || exitCode !== ExitCode.OK) {
  const end = (): void => {
    const fault = outputFault();
    // A command that has failed has said why.
    if (fault && exitCode === ExitCode.OK) {
      tell.error(fault);
      process.exitCode = ExitCode.FAILURE;
    }
    process.exit();
  };
  // Commands have waited for their data as long as they want to; what is left is of a reader that does not read.
  setTimeout(end, 1000).unref();
  process.stdout.write('', () => setImmediate(end));
}
