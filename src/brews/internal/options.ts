import { optionInvalid } from '../../core/errors.js';
import type { PubkeeperError } from '../../core/index.js';
import { show } from '../../core/id.js';

// Checks of options that several brews have. Each throws `OPTION_INVALID`; `kind` is the name of the brew's class.

export const invalidOption = (kind: string, why: string, value: unknown): PubkeeperError =>
  optionInvalid(`${kind}: ${why}, not ${show(value)}.`);

/** The options that were given, if any. `example`: how they look. */
export function givenOptions<Options extends object>(kind: string, example: string, given: Options | null | undefined): Partial<Options> {
  const options = given ?? {};
  if (!isOptions(options)) throw invalidOption(kind, `the options must be an object, as ${example}`, options);
  return options;
}

export const isOptions = (options: unknown): boolean => typeof options === 'object' && !Array.isArray(options);

export function checkName(kind: string, name: unknown): void {
  if (typeof name !== 'string' || !name) throw invalidOption(kind, 'name must be a text', name);
}

export function checkLastValue(kind: string, lastValue: unknown): void {
  if (typeof lastValue !== 'boolean') throw invalidOption(kind, 'lastValue must be true or false', lastValue);
}
