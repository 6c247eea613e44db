// `pubkeeper`: the public names, one by one. Importing this does nothing: no socket, no timer, no randomness.
export { PubkeeperClient, type ClientOptions } from './client.js';
export { Patron, type PatronCallback, type PatronEvents, type PatronOptions } from './core/patron.js';
export { Brewer, type BrewerEvents, type BrewerOptions } from './core/brewer.js';
export { WebSocketBrew, type WebSocketBrewOptions } from './brews/websocket.js';
export { PubkeeperError, type ErrorCode } from './core/errors.js';
export { isTopic, isTopicPattern, matchTopic } from './core/topic.js';
export type { AbortSignalLike } from './core/attempt.js';
export type { Brew, BrewHost, BrewScope, BrewerPair, Failover, PatronPair } from './core/brew.js';
export type { CipherName } from './core/ciphers/cipher.js';
export type { ClientEvents, ClientState, UrlLike } from './core/client-options.js';
export type { Drop, DropReason } from './core/drops.js';
export type { Logger } from './core/host.js';
export type { Message } from './core/message.js';
export type { BrewDetails, BrewerConfig, BrewerInfo, PatronInfo } from './core/packet.js';
export type { ReconnectOptions } from './core/reconnect.js';
export type { TokenSource } from './core/session.js';
export type { WebSocketConstructor, WebSocketLike } from './core/connection.js';
