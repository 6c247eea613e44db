import { PacketType } from '../../core/packet.js';
import type { Packet } from '../../core/packet.js';
import type { Down, Kind, RegistryRecord } from './records.js';

// The packets by which a matchmaker learns of a registration at another server.

/** A registration: what it is, and its id. */
export interface Name {
  readonly kind: Kind;
  readonly id: string;
}

/** What a packet registers; undefined if it is not a registration. */
export function registered({ type, payload }: Packet): Name | undefined {
  if (type === PacketType.BREWER_REGISTER) return { kind: 'brewer', id: payload.brewer_id };
  return type === PacketType.PATRON_REGISTER ? { kind: 'patron', id: payload.patron_id } : undefined;
}

/** The packet that ends a registration. */
export const unregister = (kind: Kind, id: string): Packet =>
  kind === 'brewer'
    ? { type: PacketType.BREWER_UNREGISTER, payload: { topic: '', brewer_id: id } }
    : { type: PacketType.PATRON_UNREGISTER, payload: { topic: '', patron_id: id } };

/** The packet that makes or changes a registration. */
export const packetOf = (record: RegistryRecord): Packet =>
  record.kind === 'brewer'
    ? {
        type: PacketType.BREWER_REGISTER,
        payload: { topic: record.topic, brewer_id: record.id, brewer_config: record.config, brews: record.brews },
      }
    : { type: PacketType.PATRON_REGISTER, payload: { topic: record.topic, patron_id: record.id, brews: record.brews } };

/** The packets that change the states of a registration's brews from `before` to `now`. */
export function states({ kind, id }: RegistryRecord, before: readonly Down[], now: readonly Down[]): Packet[] {
  const keyOf = ([brew, peer = '']: Down): string => `${peer}/${brew}`;
  const [was, is] = [before, now].map((list) => new Set(list.map(keyOf)));
  const packet = ([brew, peer]: Down, state: 'up' | 'down'): Packet => {
    const other = peer === undefined ? {} : kind === 'brewer' ? { patron_id: peer } : { brewer_id: peer };
    const own = kind === 'brewer' ? { brewer_id: id } : { patron_id: id };
    return { type: PacketType.BREW_STATE, payload: { brew, state, ...own, ...other } };
  };
  return [
    ...before.filter((down) => !is!.has(keyOf(down))).map((down) => packet(down, 'up')),
    ...now.filter((down) => !was!.has(keyOf(down))).map((down) => packet(down, 'down')),
  ];
}
