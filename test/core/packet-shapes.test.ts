import { describe, expect, it } from 'vitest';
import { decodePacket, decodeServerPacket, encodePacket, packetName, type Packet } from '../../src/core/packet.js';
import { bytes, id, thrown } from '../helpers.js';

const brew = { name: 'websocket' };
const brewer = { topic: 'a', brewer_id: id(2), brewer_config: { cipher: { mode: 2, key: '00' } }, brew };
const patron = { topic: 'a', patron_id: id(1), brew };

/** A valid payload of each type, and for each of its fields (by path) values of a wrong shape. */
const notText = [undefined, null, 7, true, {}, ['a']];
const notId = [...notText, '', 'x', id(1) + '0', id(1).slice(1), id(1).replace('0', 'g')];
const notFlag = [undefined, null, 0, 1, 'true', {}];
const notList = [undefined, null, 7, 'a', {}, { length: 1 }];
const notObject = [null, 7, 'a', true, [], [{}]];
const shapes: [number, object, Record<string, unknown[]>][] = [
  [1, { token: 't' }, { token: notText }],
  [2, { authenticated: true }, { authenticated: notFlag }],
  [10, { topic: 'a', brewer_id: id(2), brewer_config: {}, brews: [brew] }, {
    topic: notText, brewer_id: notId, brewer_config: notObject.slice(1), brews: notList, 'brews[0]': [undefined, ...notObject], 'brews[0].name': notText,
  }],
  [11, { topic: 'a', brewer_id: id(2) }, { topic: notText, brewer_id: notId }],
  [12, { patron_id: id(1), brewers: [brewer, brewer] }, {
    patron_id: notId, brewers: notList, 'brewers[1]': notObject, 'brewers[1].topic': notText, 'brewers[1].brewer_id': notId,
    'brewers[1].brewer_config': notObject.slice(1), 'brewers[1].brew': [undefined, ...notObject], 'brewers[1].brew.name': notText,
  }],
  [13, { topic: 'a', patron_id: id(1), brewer_id: id(2) }, { topic: [7, {}, []], patron_id: notId, brewer_id: notId }],
  [20, { topic: 'a', patron_id: id(1), brews: [brew] }, { topic: notText, patron_id: notId, brews: notList, 'brews[0].name': notText }],
  [21, { topic: 'a', patron_id: id(1) }, { topic: notText, patron_id: notId }],
  [22, { brewer_id: id(2), patrons: [patron] }, {
    brewer_id: notId, patrons: notList, 'patrons[0]': notObject, 'patrons[0].topic': notText, 'patrons[0].patron_id': notId,
    'patrons[0].brew': [undefined, ...notObject], 'patrons[0].brew.name': notText,
  }],
  [23, { topic: 'a', patron_id: id(1), brewer_id: id(2) }, { topic: [7, {}, []], patron_id: notId, brewer_id: notId }],
  [40, { brews: ['a', 'b'], bridge_mode: false }, { brews: notList, 'brews[1]': notText.slice(1), bridge_mode: notFlag }],
  [41, { brew: 'a', state: 1 }, { brew: notText }],
  [99, { message: 'm' }, { message: notText }],
];

/** A deep copy of `value` in which the value at `path` is `wrong`. */
function broken(value: object, path: string, wrong: unknown): object {
  const copy = JSON.parse(JSON.stringify(value)) as object;
  const keys = path.split(/[.[\]]+/).filter(Boolean);
  const last = keys.pop()!;
  const holder = keys.reduce((at, key) => (at as Record<string, object>)[key]!, copy) as Record<string, unknown>;
  holder[last] = wrong;
  return copy;
}

const encode = (type: number, payload: unknown) => encodePacket({ type, payload } as Packet);
const cases = shapes.flatMap(([type, good, fields]) =>
  Object.entries(fields).flatMap(([path, values]) => values.map((wrong) => [packetName(type), path, wrong, type, good] as const)),
);

describe('values of a wrong shape', () => {
  it.each(shapes)('type %i: the unchanged payload is accepted', (type, payload) => {
    expect(decodePacket(encode(type, payload))).toEqual({ type, payload });
  });

  it.each(cases)('are refused: %s with %s = %j', (name, path, wrong, type, good) => {
    const error = thrown(() => decodePacket(encode(type, broken(good, path, wrong))), 'PACKET_INVALID');
    expect(error.message).toContain(`${name}${path.startsWith('[') ? '' : '.'}${path} `);
  });

  it.each(shapes)('are refused: type %i with a payload that is not an object', (type) => {
    for (const payload of [null, 7, 'text', true, []]) {
      expect(thrown(() => decodePacket(encode(type, payload)), 'PACKET_INVALID').message).toContain(packetName(type));
    }
  });

  it.each([30, 31, 32, 33])('type %i may have any object as its payload, and nothing else', (type) => {
    expect(decodePacket(encode(type, { whatever: [1] }))).toEqual({ type, payload: { whatever: [1] } });
    thrown(() => decodePacket(encode(type, [])), 'PACKET_INVALID');
  });
});

describe('bytes that are not a packet are refused:', () => {
  const packet = encode(12, { patron_id: id(1), brewers: [brewer] });

  it('truncated at any byte', () => {
    for (let length = 0; length < packet.length; length++) {
      thrown(() => decodePacket(packet.subarray(0, length)), 'PACKET_INVALID');
    }
  });

  it('with extra bytes', () => {
    for (const extra of [[0], [32], [125], [0, 0, 0, 0, 0, 0, 0, 0]]) {
      thrown(() => decodePacket(Uint8Array.from([...packet, ...extra])), 'PACKET_INVALID');
    }
  });

  it('with a wrong length in the header', () => {
    for (const [at, value] of [[2, packet[2]! + 1], [2, packet[2]! - 1], [3, packet[3]! + 1], [5, 1], [6, 1], [6, 0xff]] as const) {
      const lying = packet.slice();
      lying[at] = value;
      expect(thrown(() => decodePacket(lying), 'PACKET_INVALID').message).toContain('BREWER_NOTIFY');
    }
  });

  it.each(['', '{', '{"message":"x"', 'undefined', "{'message':'x'}", '{"message":"x"}{}', '{"message":"\n"}', '\0'])('not JSON: %j', (text) => {
    const json = bytes(text);
    const bad = Uint8Array.from([99, 0, json.length, 0, 1, 0, 0, 0, ...json]);
    const error = thrown(() => decodePacket(bad), 'PACKET_INVALID');
    expect(error.message).toContain('ERROR');
    expect(error.cause).toBeInstanceOf(Error);
  });

  it.each([[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xc0, 0x80]])('JSON that is not UTF-8: %i …', (...wrong) => {
    const json = [...bytes('{"message":"'), ...wrong, ...bytes('"}')];
    thrown(() => decodePacket(Uint8Array.from([99, 0, json.length, 0, 1, 0, 0, 0, ...json])), 'PACKET_INVALID');
  });

  it('JSON that is nested without limit', () => {
    const json = bytes('['.repeat(100_000));
    const bad = new Uint8Array([99, 0, json.length & 255, (json.length >> 8) & 255, 1, json.length >> 16, 0, 0, ...json]);
    thrown(() => decodePacket(bad), 'PACKET_INVALID');
  });
});

describe('lists in notifications', () => {
  it.each([
    [12, 'patron_id', 'brewers', brewer],
    [22, 'brewer_id', 'patrons', patron],
  ] as const)('leave out elements of a wrong shape in packet %i, which are reported, and keep the others', (type, own, list, good) => {
    const bad = [null, 7, { ...good, topic: 7 }, { ...good, brew: null }, { ...good, [type === 12 ? 'brewer_id' : 'patron_id']: 'zz' }];
    const payload = { [own]: id(9), [list]: [bad[0], good, ...bad.slice(1), good] };
    const faults: unknown[] = [];
    const packet = decodeServerPacket(encodePacket({ type, payload } as unknown as Packet), (error) => faults.push(error));
    expect(packet).toEqual({ type, payload: { [own]: id(9), [list]: [good, good] } });
    expect(faults).toMatchObject(bad.map(() => ({ code: 'PACKET_INVALID' })));
  });

  it('are refused as a whole when the payload itself has a wrong shape', () => {
    const faults: unknown[] = [];
    const decode = (payload: unknown) => decodeServerPacket(encodePacket({ type: 12, payload } as unknown as Packet), (error) => faults.push(error));
    for (const payload of [{ patron_id: 'zz', brewers: [] }, { patron_id: id(1), brewers: 7 }, null]) thrown(() => decode(payload), 'PACKET_INVALID');
    expect(faults).toEqual([]);
  });
});
