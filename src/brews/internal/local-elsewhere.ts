import { optionInvalid } from '../../core/errors.js';

/** Takes the place of LocalBrew where there is no Node: package.json chooses by export condition. */
export class LocalBrew {
  constructor() {
    throw optionInvalid('LocalBrew needs Node, for its sockets: leave it out of the brews of a page.');
  }
}

/** Empty: only Node has a name for the host. */
export const localName = (): string => '';
