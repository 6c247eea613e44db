import { TopicTrie } from '../core/topic.js';
import type { RegisteredBrewer, RegisteredPatron } from './match.js';
import { TopicIndex } from './topic-index.js';

/**
 * Where registrations are found by topic: apart for clients of this server and of others, so that two clients of others
 * never meet here.
 */
export interface Places<C> {
  readonly isFar: boolean;
  readonly patrons: TopicTrie<RegisteredPatron<C>>;
  readonly brewers: TopicIndex<RegisteredBrewer<C>>;
}

export const newPlaces = <C>(isFar: boolean): Places<C> => ({ isFar, patrons: new TopicTrie(), brewers: new TopicIndex() });
