/** The value for `failover` of a brew of your own: while that brew reports that it is down, its pairs go on over the client's other brews. */
export { failover } from './internal/failover.js';
