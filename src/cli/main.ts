#!/usr/bin/env node
import { ExitCode } from './exit.js';
import { watchOutput } from './output.js';
import { runCommandLine } from './program.js';
import { Tell } from './tell.js';

const args = process.argv.slice(2);
const tell = new Tell(process.stderr);

// Unit files and compose files remove a variable by making it empty: so an empty one counts as not set. A variable that was made
// from a file, as secrets in containers are, ends in a line break, which is not part of a token or a key.
for (const [name, value = ''] of Object.entries(process.env)) {
  if (!name.startsWith('PUBKEEPER_')) continue;
  if (value.trim()) process.env[name] = value.trim();
  else delete process.env[name];
}

// Help that is cut short by `head` is no failure. Commands that write data also listen for this error themselves.
const outputFault = watchOutput();

const exitCode = await runCommandLine(args, tell);
process.exitCode = exitCode;
// After `brew` the process ends by itself, once what was brewed has left. Other commands do not wait for a server that is stuck.
if (args[0] !== 'brew' || exitCode !== ExitCode.OK) {
  const end = (): void => {
    const fault = outputFault();
    // A command that has failed has reported why.
    if (fault && exitCode === ExitCode.OK) {
      tell.error(fault);
      process.exitCode = ExitCode.FAILURE;
    }
    process.exit();
  };
  // Commands have already waited for their output as long as they want to: the rest is for a reader that does not read.
  setTimeout(end, 1000).unref();
  process.stdout.write('', () => setImmediate(end));
}
