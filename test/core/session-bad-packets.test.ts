import { describe, expect, it, vi } from 'vitest';
import { bytes, id, unhex } from '../helpers.js';
import { strictEncode } from '../strict-server.js';
import { kit, server } from './session-kit.js';

vi.setConfig({ testTimeout: 20_000 });

describe('what a server may send wrong', () => {
  const notify = strictEncode({ type: 12, payload: { patron_id: id(1), brewers: [] } });
  const wrong: [string, string, Uint8Array | string][] = [
    ['text', 'PROTOCOL_ERROR', '{"authenticated":true}'],
    ['nothing', 'PACKET_INVALID', new Uint8Array(0)],
    ['garbage', 'PACKET_INVALID', bytes('garbage, and not little of it')],
    ['a truncated packet', 'PACKET_INVALID', notify.subarray(0, -1)],
    ['a packet with more than it says', 'PACKET_INVALID', Buffer.concat([notify, notify])],
    ['no JSON', 'PACKET_INVALID', unhex('63000300010000007b7d7b')],
    ['a wrong shape', 'PACKET_INVALID', strictEncode({ type: 12, payload: { patron_id: id(1) } })],
    ['an unknown type', 'PROTOCOL_ERROR', strictEncode({ type: 77, payload: {} })],
    ['an ERROR', 'SERVER_ERROR', strictEncode({ type: 99, payload: { message: 'hm' } })],
    ['an ERROR with a code', 'FORBIDDEN', strictEncode({ type: 99, payload: { message: 'hm', code: 'FORBIDDEN' } })],
    ['an ERROR with an odd code', 'SERVER_ERROR', strictEncode({ type: 99, payload: { message: 'hm', code: '__proto__' } })],
    ['an ERROR about odd ids', 'SERVER_ERROR', strictEncode({ type: 99, payload: { message: 'hm', patron_id: { toString: 1 } } })],
  ];

  it.each(wrong)('%s is reported as %s, and the connection goes on', async (_, code, data) => {
    const { client, errors } = kit();
    await client.connect();
    server.sendRaw(data);
    await vi.waitFor(() => expect(errors.length).toBe(1));
    expect(errors[0]!.code).toBe(code);
    const patron = client.addPatron('still.works', () => undefined);
    await server.until(() => server.ofType(20).some(({ patron_id }) => patron_id === patron.patronId));
    expect([client.state, server.connections]).toEqual(['connected', 1]);
  });

  it('a notification for an unknown patron or brewer is ignored, and a packet that only servers receive is reported', async () => {
    const { client, errors } = kit();
    await client.connect();
    const ids = { patron_id: id(8), brewer_id: id(9) };
    server.sendRaw(notify);
    for (const [type, payload] of [[13, ids], [23, ids], [11, { topic: 'a', ...ids }], [30, {}], [2, { authenticated: false }]] as const) server.send({ type, payload });
    server.send({ type: 99, payload: { message: 'last' } });
    await vi.waitFor(() => expect(errors.at(-1)?.message).toBe('last'));
    expect(errors.map(({ code, details }) => [code, details['type']])).toEqual([['PROTOCOL_ERROR', 11], ['PROTOCOL_ERROR', 30], ['SERVER_ERROR', undefined]]);
    expect(client.state).toBe('connected');
  });
});
