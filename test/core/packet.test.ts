import fc from '../fast-check.js';
import { describe, expect, it, vi } from 'vitest';
import { decodePacket, encodePacket, packetName, PacketType, type Packet, type PacketVersion } from '../../src/core/packet.js';
import { PubkeeperError } from '../../src/core/errors.js';
import { bytes, dashed, hex, id, sha256, thrown, unhex } from '../helpers.js';
import { unicodeText } from '../arbitraries.js';
import { vectors } from '../vectors.js';

vi.setConfig({ testTimeout: 30_000 }); // properties take long on a busy machine

interface Vector {
  version: PacketVersion;
  type: number;
  name: string;
  payload: object;
  hex?: string | null;
  sha256?: string;
  error?: string;
}
const all = vectors<Vector[]>('control-packets');
const label = (vector: Vector): string => `${vector.name} by ${vector.version}`;
const packetOf = ({ type, payload }: Vector): Packet => ({ type, payload }) as unknown as Packet;

/** A packet built here from the table of headers in protocol.md, section 2. */
function raw(type: number, payload: unknown, version: PacketVersion = '1.1'): Uint8Array<ArrayBuffer> {
  const json = payload instanceof Uint8Array ? payload : bytes(typeof payload === 'string' ? payload : JSON.stringify(payload));
  const packet = Buffer.alloc(8 + json.length);
  packet.writeUInt16LE(type, 0);
  packet.writeUInt16LE(json.length & 0xffff, 2);
  if (version === '1.1') {
    packet[4] = 1;
    packet.writeUInt16LE(json.length >>> 16, 5);
  }
  packet.set(json, 8);
  return Uint8Array.from(packet);
}

describe('the vectors of control packets', () => {
  it('are all of a kind that this file tests', () => {
    expect(all.filter((vector) => !vector.hex && !vector.sha256 && !vector.error)).toEqual([]);
    expect(all.some((vector) => vector.sha256)).toBe(true);
    expect(all.some((vector) => vector.error)).toBe(true);
  });

  it.each(all.filter((vector) => vector.hex).map((vector) => [label(vector), vector] as const))('%s: encodes to the packet, and decodes back', (_, vector) => {
    expect(PacketType[vector.name as keyof typeof PacketType]).toBe(vector.type);
    expect(packetName(vector.type)).toBe(vector.name);
    expect(hex(encodePacket(packetOf(vector), vector.version))).toBe(vector.hex);
    expect(decodePacket(unhex(vector.hex!))).toEqual(packetOf(vector));
  });

  it.each(all.filter((vector) => vector.sha256).map((vector) => [label(vector), vector] as const))('%s over 64 KiB: encodes to the packet, and decodes back', (_, vector) => {
    const encoded = encodePacket(packetOf(vector), vector.version);
    expect(encoded.length).toBeGreaterThan(65_536);
    expect(sha256(encoded).toString('hex')).toBe(vector.sha256);
    expect(decodePacket(encoded)).toEqual(packetOf(vector));
  });

  it.each(all.filter((vector) => vector.error).map((vector) => [label(vector), vector] as const))('%s is refused as too long', (_, vector) => {
    const error = thrown(() => encodePacket(packetOf(vector), vector.version), 'PACKET_TOO_LONG');
    expect(error.details).toMatchObject({ type: vector.type });
  });
});

describe('lengths', () => {
  const ofLength = (length: number): Packet => ({ type: 99, payload: { message: 'x'.repeat(length - '{"message":""}'.length) } });

  it('a packet of version 1.0 has at most 65,535 payload bytes', () => {
    expect(decodePacket(encodePacket(ofLength(65_535), '1.0'))).toEqual(ofLength(65_535));
    thrown(() => encodePacket(ofLength(65_536), '1.0'), 'PACKET_TOO_LONG');
  });

  it.each([65_535, 65_536, 65_537, 131_072, 3_000_000])('a packet of version 1.1 can have %i payload bytes', (length) => {
    const packet = encodePacket(ofLength(length));
    const view = Buffer.from(packet.buffer);
    expect(view.readUInt16LE(2) + view.readUInt16LE(5) * 65_536).toBe(length);
    expect([view[4], view[7]]).toEqual([1, 0]);
    expect(decodePacket(packet)).toEqual(ofLength(length));
  });

  it('the header of version 1.0 has zeros where that of 1.1 has flags and the high length', () => {
    expect([...encodePacket(ofLength(40), '1.0').subarray(4, 8)]).toEqual([0, 0, 0, 0]);
  });

  it('the high length is ignored without its flag', () => {
    const packet = raw(2, { authenticated: true }, '1.0');
    packet.set([7, 7, 7], 5);
    expect(decodePacket(packet)).toEqual({ type: 2, payload: { authenticated: true } });
  });

  it('unknown flags are ignored', () => {
    const packet = raw(2, { authenticated: true });
    packet[4] = 0xff;
    expect(decodePacket(packet)).toEqual({ type: 2, payload: { authenticated: true } });
  });

  it('a packet may be a view into a larger buffer', () => {
    const padded = new Uint8Array([9, 9, 9, ...raw(2, { authenticated: false }), 9, 9]);
    expect(decodePacket(padded.subarray(3, -2))).toEqual({ type: 2, payload: { authenticated: false } });
  });
});

describe('round trips', () => {
  const name = unicodeText;
  const uuid = fc.uuid().map((text) => text.replaceAll('-', ''));
  const extra = fc.dictionary(fc.string().map((key) => `x-${key}`), fc.jsonValue());
  const brew = fc.tuple(name, extra).map(([brewName, more]) => ({ ...more, name: brewName }));
  const config = fc.oneof(fc.constant({}), fc.record({ cipher: fc.record({ mode: fc.constantFrom<unknown>(2, 'NONE', 'AES-GCM'), key: fc.string() }) }), extra);
  const withExtra = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.tuple(fc.record(shape), extra).map(([known, more]) => ({ ...more, ...known }));
  const payloads: Record<number, fc.Arbitrary<object>> = {
    1: withExtra({ token: name }),
    2: withExtra({ authenticated: fc.boolean() }),
    10: withExtra({ topic: name, brewer_id: uuid, brewer_config: config, brews: fc.array(brew) }),
    11: withExtra({ topic: name, brewer_id: uuid }),
    12: withExtra({ patron_id: uuid, brewers: fc.array(withExtra({ topic: name, brewer_id: uuid, brewer_config: config, brew })) }),
    13: withExtra({ topic: name, patron_id: uuid, brewer_id: uuid }),
    20: withExtra({ topic: name, patron_id: uuid, brews: fc.array(brew) }),
    21: withExtra({ topic: name, patron_id: uuid }),
    22: withExtra({ brewer_id: uuid, patrons: fc.array(withExtra({ topic: name, patron_id: uuid, brew })) }),
    23: withExtra({ topic: name, patron_id: uuid, brewer_id: uuid }),
    30: extra,
    33: extra,
    40: withExtra({ brews: fc.array(name), bridge_mode: fc.boolean() }),
    41: withExtra({ brew: name, state: fc.jsonValue() }),
    99: withExtra({ message: name }),
  };

  it.each(Object.entries(payloads))('of type %s, with unicode and unknown keys, in both versions', (type, payload) => {
    fc.assert(
      fc.property(payload, (value) => {
        const json: unknown = JSON.parse(JSON.stringify(value)); // -0 becomes 0, as in JSON
        const packet = { type: Number(type), payload: json } as unknown as Packet;
        expect(decodePacket(encodePacket(packet))).toEqual(packet);
        expect(decodePacket(encodePacket(packet, '1.0'))).toEqual(packet);
      }),
      { numRuns: 60 },
    );
  });
});

describe('ids', () => {
  it('are read in dashed and in upper-case form, and returned as 32 lower-case digits', () => {
    const brewer_id = dashed(id(0xab));
    const patron_id = dashed(id(0xcd));
    const brew = { name: 'websocket' };
    const read = (type: number, payload: object) => JSON.stringify(decodePacket(raw(type, payload)));
    for (const text of [
      read(10, { topic: 'a', brewer_id, brewer_config: {}, brews: [] }),
      read(12, { patron_id, brewers: [{ topic: 'a', brewer_id, brewer_config: {}, brew }] }),
      read(13, { topic: 'a', patron_id, brewer_id }),
      read(20, { topic: 'a', patron_id, brews: [] }),
      read(22, { brewer_id, patrons: [{ topic: 'a', patron_id, brew }] }),
      read(23, { topic: 'a', patron_id, brewer_id }),
    ]) {
      expect(text).toMatch(new RegExp(`${id(0xab)}|${id(0xcd)}`));
      expect(text).not.toContain('-');
    }
  });
});

describe('unknown and missing values', () => {
  it.each([0, 3, 9, 14, 19, 34, 42, 50, 60, 98, 100, 65_535])('type %i is returned as unknown, whatever its payload is', (number) => {
    expect(decodePacket(raw(number, 'not JSON'))).toEqual({ type: 'unknown', number });
    expect(packetName(number)).toBe(`TYPE_${number}`);
  });

  it('the topic of a BREWER_REMOVED or PATRON_REMOVED may be missing, or null', () => {
    const ids = { patron_id: id(1), brewer_id: id(2) };
    for (const type of [13, 23]) {
      expect(decodePacket(raw(type, ids))).toEqual({ type, payload: ids });
      expect(decodePacket(raw(type, { ...ids, topic: null }))).toEqual({ type, payload: ids });
    }
  });

  it('a missing or null brewer_config is an empty one, which means plaintext', () => {
    for (const brewer_config of [undefined, null]) {
      const packet = decodePacket(raw(12, { patron_id: id(1), brewers: [{ topic: 'a', brewer_id: id(2), brewer_config, brew: { name: 'x' } }] }));
      expect(packet).toMatchObject({ payload: { brewers: [{ brewer_config: {} }] } });
    }
  });

  it('keys like __proto__ and constructor are ordinary keys', () => {
    const evil = `"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}`;
    const brew = `{"name":"websocket",${evil}}`;
    const brewer = `{"topic":"__proto__","brewer_id":"${id(2)}","brewer_config":{${evil}},"brew":${brew},${evil}}`;
    const packet = decodePacket(raw(12, `{${evil},"patron_id":"${id(1)}","brewers":[${brewer}]}`)) as Packet & { type: 12 };
    expect(packet.payload.brewers[0]!.topic).toBe('__proto__');
    expect(Object.getPrototypeOf(packet.payload)).toBe(Object.prototype);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect((packet.payload as { polluted?: unknown }).polluted).toBeUndefined();
    // A value on the prototype is not used for a missing one.
    expect(thrown(() => decodePacket(raw(1, '{"__proto__":{"token":"x"}}')), 'PACKET_INVALID').message).toContain('.token');
  });
});

it('random bytes cause no exceptions but PubkeeperErrors', () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.tuple(fc.constantFrom(1, 2, 10, 12, 13, 22, 40, 41, 99), fc.oneof(fc.json(), fc.string())).map(([type, text]) => raw(type, text)),
    fc.tuple(fc.nat(110), fc.uint8Array({ maxLength: 40 })).map(([type, data]) => raw(type, data)),
  );
  fc.assert(
    fc.property(anyBytes, (data) => {
      try {
        decodePacket(data);
      } catch (error) {
        expect(error).toBeInstanceOf(PubkeeperError);
        expect((error as PubkeeperError).code).toBe('PACKET_INVALID');
      }
    }),
    { numRuns: 3000 },
  );
});
