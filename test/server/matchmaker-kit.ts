import type { BrewDetails, Packet } from '../../src/core/packet.js';
import type { Right } from '../../src/server/auth.js';

// Registrations as clients send them, in short.

export const ALL: readonly Right[] = [{ topic: '**', read: true, write: true }];
export const WEB: BrewDetails = { name: 'websocket', hostname: 'h', port: 1 };
export const P = (name: string): BrewDetails => ({ name });

export const brewer = (id: string, topic: string, brews: readonly BrewDetails[] = [WEB], config: object = {}): Packet => ({
  type: 10,
  payload: { topic, brewer_id: id, brewer_config: { ...config }, brews },
});
export const patron = (id: string, topic: string, brews: readonly BrewDetails[] = [P('websocket')]): Packet => ({
  type: 20,
  payload: { topic, patron_id: id, brews },
});
