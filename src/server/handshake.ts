import type { Socket } from 'node:net';
import type { PacketVersion } from '../core/packet.js';

/** What the handshake of a control connection says. */
export interface Handshake {
  readonly version: PacketVersion;
  /** The Host header: host and port by which this client reaches the server. */
  readonly authority: string;
  /** Whether the client speaks TLS, to this server or to a proxy in front of it. */
  readonly secure: boolean;
  /** Whether a proxy says that it has passed the client on. */
  readonly isForwarded: boolean;
  /** The address of the other end, for the log. */
  readonly address: string;
  /** The socket beneath the WebSocket, which counts what arrives. */
  readonly tcp: Pick<Socket, 'bytesRead'>;
}
