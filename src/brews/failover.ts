/** `failover` of a brew of your own that is to stand beside others: its pairs go on over them while it says that it is down. */
export { failover } from './internal/failover.js';
