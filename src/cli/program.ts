import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import {
  clientOptions,
  fileOption,
  parseCipher,
  parseCount,
  parsePattern,
  parseSeconds,
  parseSize,
  parseTopic,
} from './arguments.js';
import type { BenchFlags } from './bench.js';
import type { BrewFlags } from './brew.js';
import { ExitCode, ExitError, usage } from './exit.js';
import { watchHangup } from './hangup.js';
import { BENCH, BREW, GENERAL, PATRON, SERVE, TOKEN } from './help.js';
import type { PatronFlags } from './patron.js';
import { addServeFlags } from './serve-flags.js';
import type { ServeFlags } from './serve-flags.js';
import { addTokenCommands } from './token-flags.js';
import type { Tell } from './tell.js';

/** Runs the command line; resolves to the exit code. Never rejects. */
export async function runCommandLine(args: readonly string[], tell: Tell): Promise<number> {
  let exitCode: number = ExitCode.OK;
  const program = makeProgram(tell, (code) => (exitCode = code));
  try {
    await program.parseAsync(isDeepHelp(args) ? [...args.slice(1), '--help'] : args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      tell.error(error);
      return error instanceof ExitError ? error.exitCode : ExitCode.FAILURE;
    }
    if (error.exitCode === 0) return ExitCode.OK; // help or version, as was asked for
    // "commander.help": help on stderr, because a command is missing. That is explanation enough.
    if (error.code !== 'commander.help') tell.error(new Error(sentenceOf(error, args, program)));
    return ExitCode.USAGE;
  }
}

function makeProgram(tell: Tell, done: (exitCode: number) => void): Command {
  const program = new Command('pubkeeper')
    .description('Publish and subscribe, end-to-end encrypted: brewers publish on topics, patrons subscribe to them.')
    .version(version(), '-V, --version')
    .exitOverride()
    // `runCommandLine` reports errors, in the form that all errors have here.
    .configureOutput({ outputError: () => undefined, writeErr: (text) => tell.text(text) })
    .addHelpText('after', GENERAL);
  const command = (parent: Command, usage: string, description: string, help: string): Command =>
    parent
      .command(usage)
      .description(description)
      .addHelpText('after', help)
      .hook('preAction', (_program, running) => {
        const { quiet, verbose } = running.opts<{ quiet?: true; verbose?: true }>();
        tell.quiet = quiet === true;
        tell.verbose = verbose === true;
      });

  addServeFlags(command(program, 'serve', 'Run a server: control server, relay and dashboard on one port', SERVE))
    .addOption(verbose())
    .action(async (flags: ServeFlags) => {
      const onHangup = watchHangup();
      done(await (await import('./serve.js')).serve(flags, tell, onHangup));
    });

  client(command(program, 'patron', 'Subscribe to a topic or a pattern of topics, and print the messages', PATRON))
    .argument('<pattern>', "a topic, or a pattern such as 'demo.**'", parsePattern)
    .addOption(new Option('--cipher <name>', 'the weakest encryption to accept').default('none').argParser(parseCipher))
    .addOption(new Option('--json', 'print one JSON object a line').conflicts(['raw', 'lines']))
    .addOption(new Option('--raw', 'print only the data, with nothing added').conflicts('lines'))
    .option('--lines', 'print only the data, one message a line')
    .addOption(new Option('-n, --count <count>', 'stop after this many messages').argParser(parseCount))
    .addOption(new Option('--timeout <seconds>', 'stop after this many seconds').argParser(parseSeconds))
    .addOption(quiet())
    .addOption(verbose())
    .action(async (pattern: string, flags: PatronFlags) => done(await (await import('./patron.js')).patron(pattern, flags, tell)));

  client(command(program, 'brew', 'Publish messages on a topic', BREW))
    .argument('<topic>', 'a literal topic, such as demo.x', parseTopic)
    .argument('[text]', 'the message; without it, --file or stdin')
    .addOption(new Option('--cipher <name>', 'how to encrypt: aes-gcm, aes-cbc or none').default('aes-gcm').argParser(parseCipher))
    .option('--json', 'check that the message is JSON, and send it without whitespace')
    .addOption(fileOption('--file <path>', 'send the contents of a file; - for stdin'))
    .option('--lines', 'send each line as a message')
    .addOption(new Option('--timeout <seconds>', 'give up if nobody subscribes within this time (default: keep waiting)').argParser(parseSeconds))
    .addOption(quiet())
    .addOption(verbose())
    .action(async (topic: string, text: string | undefined, flags: BrewFlags) => {
      if (text !== undefined && flags.file !== undefined) throw usage('There is a text and --file: give only one of them.');
      if (text !== undefined && flags.lines) throw usage('There is a text and --lines: give only one of them. Lines are read from stdin or from --file.');
      done(await (await import('./brew.js')).brew(topic, text, flags, tell));
    });

  client(command(program, 'bench', 'Measure the throughput and latency of a server or a broker', BENCH))
    .addOption(new Option('--topic <topic>', 'the topic to use (default: bench. and a new id)').argParser(parseTopic))
    .addOption(new Option('--size <bytes>', 'the length of a message').default(100).argParser(parseSize))
    .addOption(new Option('--seconds <seconds>', 'how long each of the two measurements takes').default(3).argParser(parseSeconds))
    .addOption(new Option('--cipher <name>', 'how to encrypt: aes-gcm, aes-cbc or none').default('aes-gcm').argParser(parseCipher))
    .option('--json', 'print one JSON object a line')
    .addOption(new Option('--timeout <seconds>', 'give up if the two ends are not matched within this time').default(15).argParser(parseSeconds))
    .addOption(quiet())
    .addOption(verbose())
    .action(async (flags: BenchFlags) => done(await (await import('./bench.js')).bench(flags, tell)));
  addTokenCommands(command(program, 'token', 'Make and check the tokens of clients', TOKEN), command, done, tell);
  return program;
}

const client = (command: Command): Command => clientOptions().reduce((it, option) => it.addOption(option), command);

const quiet = (): Option => new Option('-q, --quiet', 'no notes on stderr, only errors');
const verbose = (): Option => new Option('--verbose', 'more on stderr: details, and the stacks of errors');

/** Whether this is like `help token create`: Commander's own command `help` uses only the first of several words. */
const isDeepHelp = ([word, ...names]: readonly string[]): boolean => word === 'help' && names.length > 1;

/** What other publish/subscribe tools call our commands. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([['sub', 'patron'], ['subscribe', 'patron'], ['pub', 'brew'], ['publish', 'brew']]);

/** Turns Commander's error into a sentence of ours. What follows a `=` is left out: it may be a token. */
function sentenceOf({ message, code }: CommanderError, args: readonly string[], program: Command): string {
  const called = calledBy(args, program);
  const [, name] = /'(-[^'=]*)=/.exec(message) ?? [];
  const text = called.at(-1)!.options.some(({ long }) => long === name)
    ? `option '${name}' takes no value`
    : message.replace(/^error: /, '').replace(/('-[^'=]*)=[^']*'/, "$1'").replace(/\s*\n\s*/g, ' ').replace(/\.$/, '');
  const meant = code === 'commander.unknownCommand' ? ELSEWHERE.get(args.find((arg) => !arg.startsWith('-')) ?? '') : undefined;
  const hint = meant ? ` (Did you mean ${meant}?)` : '';
  const meantHint = HINTS[called.at(-1)!.name()]?.[code] ?? '';
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${hint}${meantHint}; see ${called.map((command) => command.name()).join(' ')} --help.`;
}

/** Hints at what is often meant by arguments that a command does not take. */
const HINTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  brew: {
    'commander.unknownOption': ' (put -- before a text that starts with a dash)',
    'commander.excessArguments': ' (put quotes around a text of several words)',
  },
  // The shell replaces an unquoted pattern by the names of files.
  patron: { 'commander.excessArguments': ' (put quotes around a pattern with *)' },
};

/** The commands that were called, from the program down to the innermost one that is known: the help of that one lists the flags. */
function calledBy([word, ...rest]: readonly string[], command: Command): readonly Command[] {
  const next = command.commands.find((known) => known.name() === word);
  return next ? [command, ...calledBy(rest, next)] : [command];
}

const version = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
