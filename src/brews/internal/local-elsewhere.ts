import { PubkeeperError } from '../../core/index.js';

/** What stands for the LocalBrew where there is no Node: package.json chooses by export condition. */
export class LocalBrew {
  constructor() {
    throw new PubkeeperError('OPTION_INVALID', 'LocalBrew needs Node, for its sockets: leave it out of the brews of a page.');
  }
}

/** There is no such name here. */
export const localName = (): string => '';
