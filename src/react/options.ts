import { show } from '../core/id.js';
import { PubkeeperError } from '../index.js';

/**
 * The options of a hook; `null` means none. Anything else than an object, such as the callback that `addPatron` takes there, would count
 * for nothing.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function optionsOf<Options extends object>(given: Options | null | undefined): Partial<Options> {
  if (given == null) return {};
  if (typeof given === 'object') return given;
  throw new PubkeeperError('OPTION_INVALID', `The second argument of a hook is an object with options, not ${show(given)}.`);
}

/** @throws {PubkeeperError} `OPTION_INVALID` if something is given that is not a function */
export function assertFunction(name: string, given: unknown): void {
  if (given == null || typeof given === 'function') return;
  throw new PubkeeperError('OPTION_INVALID', `${name} must be a function, not ${show(given)}.`);
}
