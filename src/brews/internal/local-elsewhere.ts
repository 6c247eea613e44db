import { PubkeeperError } from '../../core/index.js';

/** Takes the place of LocalBrew where there is no Node: package.json chooses by export condition. */
export class LocalBrew {
  constructor() {
    throw new PubkeeperError('OPTION_INVALID', 'LocalBrew needs Node, for its sockets: leave it out of the brews of a page.');
  }
}

/** Empty: only Node has a name for the host. */
export const localName = (): string => '';
