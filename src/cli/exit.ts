import { PubkeeperError } from '../core/errors.js';

/** The exit codes of the process. Scripts depend on them: they are documented in `pubkeeper --help`. */
export const ExitCode = { OK: 0, FAILURE: 1, USAGE: 2, TIMEOUT: 124, SIGINT: 130, SIGTERM: 143 } as const;

/** Ends the command with a sentence for the person at the terminal and an exit code. */
export class ExitError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.name = 'ExitError';
    this.exitCode = exitCode;
  }
}

/** The command line is wrong: nothing was tried. */
export const usage = (sentence: string): ExitError => new ExitError(ExitCode.USAGE, sentence);

/** Throws the error by which an option was refused; a wrong value is a usage error, because it came from the command line. */
export function refused(error: unknown): never {
  throw error instanceof PubkeeperError && ['OPTION_INVALID', 'BREW_CONFIG_INVALID'].includes(error.code) ? usage(error.message) : error;
}

/** The command was tried and has failed. */
export const failure = (sentence: string, cause?: unknown): ExitError => new ExitError(ExitCode.FAILURE, sentence, cause);

/** The `code` of a system error (`ENOENT`, `EPIPE`, …), or an empty string. */
export const systemCode = (error: unknown): string =>
  error instanceof Error && !(error instanceof PubkeeperError) && 'code' in error ? String(error.code) : '';
