import { Option, type Command } from 'commander';
import { fileOption, parsePattern, parseToken, wholeNumber } from './arguments.js';
import { jwtOptions } from './serve-flags.js';
import type { CreateFlags, VerifyFlags } from './token.js';
import type { Tell } from './tell.js';

const collectPatterns = (text: string, before: readonly string[] = []): string[] => [...before, parsePattern(text)];

const CREATE = `
A static token is random, and a server keeps only its hash. A signed token (JWT) carries its rights and its expiry, and
the server needs only the key that verifies it. The token is printed to stdout; without --tokens, a second line holds the
entry for a token file.

Examples:
  $ pubkeeper token create --read 'plant.**' --write plant.1.valve --tokens tokens.json
  $ pubkeeper token create --all --expires 600 --jwt-key-file private.pem --jwt-algorithms ES256 \\
      --jwt-issuer me --jwt-audience pubkeeper
`;

const VERIFY = `
Reads the token from PUBKEEPER_TOKEN, or from stdin if that is not set. Prints what the token may do as a line of JSON;
exit code 1 if it is not valid.

Examples:
  $ pubkeeper token verify --tokens tokens.json < token.txt
  $ pubkeeper token verify --jwt-key-file public.pem --jwt-algorithms ES256 \\
      --jwt-issuer me --jwt-audience pubkeeper < token.txt
`;

/** `pubkeeper token create` and `pubkeeper token verify`. */
export function addTokenCommands(
  parent: Command,
  command: (parent: Command, usage: string, description: string, help: string) => Command,
  done: (exitCode: number) => void,
  tell: Tell,
): void {
  const create = command(parent, 'create', 'Make a token, and print it once', CREATE)
    .addOption(new Option('--read <pattern>', 'topics that it may read; may be repeated').argParser(collectPatterns))
    .addOption(new Option('--write <pattern>', 'topics that it may write; may be repeated').argParser(collectPatterns))
    .option('--all', 'it may read and write every topic')
    .addOption(fileOption('--tokens <file>', 'add its hash to this token file, which is created if there is none'))
    .addOption(new Option('--expires <seconds>', 'for a signed token: how long it is valid (default: 3600)').argParser((text) => wholeNumber(text, '--expires', 1, 1e9)))
    .option('--subject <text>', 'for a signed token: whom it is for, the claim "sub"')
    .option('-q, --quiet', 'no notes on stderr, only errors');
  for (const option of jwtOptions('the private key, as PEM or JWK, or the HS256 secret that signs')) create.addOption(option);
  create.action(async (flags: CreateFlags) => done(await (await import('./token.js')).createToken(flags, tell)));

  const verify = command(parent, 'verify', 'Check a token, and print what it may do', VERIFY)
    .addOption(fileOption('--tokens <file>', 'the token file of the server'))
    .addOption(new Option('-t, --token <token>', 'the token; better on stdin').env('PUBKEEPER_TOKEN').argParser(parseToken));
  for (const option of jwtOptions('the key that verifies signed tokens, as for pubkeeper serve')) verify.addOption(option);
  verify.action(async (flags: VerifyFlags) => done(await (await import('./token.js')).verifyToken(flags, tell)));
}
