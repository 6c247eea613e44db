// `pubkeeper/compat`: the API of the abandoned browser client. Only these two names are there at run time.
export { PubkeeperClient, type BrewerToken, type PatronToken } from './client.js';
export { WebSocketBrew, type BrewerConfig, type Metrics, type WebSocketBrewOptions } from './websocket-brew.js';
export type { CompatBrew } from './attached.js';
export type { Brewer, BrewerEvents, BrewerOptions, BrewJSONOptions, BrewOptions, WaitForBrews } from './brewer.js';
export type { Cipher, CipherConstructor, CipherOption, CryptoMap } from './ciphers.js';
export type { ClientEvents, ClientOptions, ConnectOptions, Status } from './client-options.js';
export type { BrewerConnection, BrewMatch, CustomBrew, PatronConnection } from './custom-brew.js';
export type { Listener } from './emitter.js';
export type { Patron, PatronEvents, PatronOptions } from './patron.js';
export type { Matched, TargetEvents, TargetOptions } from './target.js';
