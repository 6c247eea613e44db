#!/usr/bin/env node
import { ExitCode } from './exit.js';
import { runCommandLine } from './program.js';
import { Tell } from './tell.js';

const args = process.argv.slice(2);

// Help that is cut short by `head` is no failure. Commands that write data also listen.
process.stdout.on('error', () => undefined);

const exitCode = await runCommandLine(args, new Tell(process.stderr));
process.exitCode = exitCode;
// What was brewed leaves before the process ends by itself. Nothing else is worth waiting for a server that is stuck.
if (args[0] !== 'brew' || exitCode !== ExitCode.OK) process.stdout.write('', () => process.exit());
