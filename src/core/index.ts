// `pubkeeper/core`: everything that needs no platform.
export { PubkeeperError, type ErrorCode } from './errors.js';
export { isTopic, isTopicPattern, matchTopic, TopicTrie } from './topic.js';
export { newId, parseId } from './id.js';
export {
  decodePacket,
  encodePacket,
  packetName,
  PacketType,
  type BrewDetails,
  type BrewerConfig,
  type BrewerInfo,
  type Packet,
  type PacketVersion,
  type PatronInfo,
  type UnknownPacket,
} from './packet.js';
export { decodeFrame, encodeFrame, frameIdentity, topicHash, FRAME_HEADER, type Frame, type Seal } from './frame.js';
export { decodeRelayPacket, encodeRelayPacket, RelayPacketType, type RelayPacket } from './relay.js';
export type { CbcKey, CryptoEngine, GcmKey } from './ciphers/engine.js';
export type { CipherName, MakeSealer, Opener, Sealer } from './ciphers/cipher.js';
export { openerFor, sealerFor } from './ciphers/index.js';
export { defaultEngine, plainEngine as nobleEngine } from './ciphers/default-engine.js';
export { webCryptoEngine } from './ciphers/web-crypto.js';
export { Patron, type PatronCallback, type PatronEvents, type PatronOptions } from './patron.js';
export { Brewer, type BrewerEvents, type BrewerOptions } from './brewer.js';
export type { Message } from './message.js';
export type { Drop, DropReason } from './drops.js';
export type { AbortSignalLike } from './attempt.js';
export type { Brew, BrewHost, BrewScope, BrewerPair, Failover, PatronPair } from './brew.js';
export type { WebSocketConstructor, WebSocketLike } from './connection.js';
export type { ReconnectOptions } from './reconnect.js';
export type { TokenSource } from './session.js';
export type { Logger } from './host.js';
export { PubkeeperClient } from './client.js';
export type { ClientEvents, ClientOptions, ClientState, UrlLike } from './client-options.js';
