import { TopicTrie } from '../core/topic.js';
import type { RegisteredBrewer, RegisteredPatron } from './match.js';
import { TopicIndex } from './topic-index.js';

/**
 * Registrations by topic. There is one such object for clients of this server and one for those of other servers, so that
 * two clients of other servers are never matched here.
 */
export interface Places<C> {
  readonly isFar: boolean;
  readonly patrons: TopicTrie<RegisteredPatron<C>>;
  readonly brewers: TopicIndex<RegisteredBrewer<C>>;
}

export const newPlaces = <C>(isFar: boolean): Places<C> => ({ isFar, patrons: new TopicTrie(), brewers: new TopicIndex() });
