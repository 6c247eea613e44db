// A control connection without an SDK: packets in and out. For scenes with many connections.
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { decodePacket, encodePacket, PacketType } from '../../dist/core/index.js';

export { PacketType };

/** Opens a connection. `onPacket` gets the packets that come after the server has authenticated it. */
export async function openControl({ url, token }, onPacket = () => undefined) {
  const socket = new WebSocket(url, ['pubkeeper-1.1'], { perMessageDeflate: false, generateMask: () => undefined });
  await once(socket, 'open');
  const send = (type, payload) => socket.send(encodePacket({ type, payload }, '1.1'));
  const answer = once(socket, 'message');
  send(PacketType.CLIENT_AUTHENTICATE, { token });
  const { payload } = decodePacket(new Uint8Array((await answer)[0]));
  if (!payload.authenticated) throw new Error('bench: the server refused the token');
  socket.on('message', (data) => onPacket(decodePacket(new Uint8Array(data))));
  return { send };
}

export const idOf = (n) => `${n.toString(16).padStart(12, '0')}40008000000000000000`;
