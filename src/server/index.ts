import type { ServerOptions } from './options.js';
import { PubkeeperServer } from './server.js';

export { PubkeeperServer } from './server.js';
export type { MatchEvent, ServerEvents } from './server.js';
export type { ReloadOptions, ServerOptions } from './options.js';
export type { ClusterOptions } from './cluster/options.js';
export type { ClusterStats } from './cluster/cluster.js';
export type { Limits } from './limits.js';
export type { DropReason, ServerStats } from './stats.js';
export { Tokens, readTokens } from './auth.js';
export type { Authenticator, Right, Rights, TokenTable } from './auth.js';
export { JWT_ALGORITHMS, JwtAuthenticator } from './jwt.js';
export type { JwtAlgorithm, JwtOptions } from './jwt.js';
export { LOG_LEVELS, jsonLogger } from './log.js';
export type { LogLevel } from './log.js';
export { CloseCode } from './close-codes.js';
export { serveFiles } from './files.js';
export type { RequestHandler } from './http.js';
export type { UpgradeRequest } from './upgrade.js';
export type { Logger } from '../core/host.js';

/**
 * Starts a control server with a WebSocket relay on one port.
 * @throws {PubkeeperError} `PORT_IN_USE`; `OPTION_INVALID` when an option is malformed, the address cannot be had, or
 * no tokens are given and the address is not loopback; in a cluster `CLUSTER_DEPENDENCY`, `CLUSTER_FAILED`, `CONNECT_FAILED`, or
 * `UNAUTHORIZED` where NATS refuses the server
 */
export const createServer = (options?: ServerOptions | null): Promise<PubkeeperServer> => PubkeeperServer.start(options ?? {});
