import { describe, expect, it, vi } from 'vitest';
import type { BrewHost } from '../../src/core/brew.js';
import { failover } from '../../src/brews/internal/failover.js';
import { id } from '../helpers.js';
import { PairBrew } from './scripted-control.js';
import { kit, server } from './session-kit.js';

vi.setConfig({ testTimeout: 20_000 });

describe('the heartbeat', () => {
  it.each(['pubkeeper-1.1', 'pubkeeper-1.0'])('is sent to a silent server, and the connection stays when the server answers (%s)', async (subprotocol) => {
    server.options = { ...server.options, heartbeat: 100, subprotocol };
    const { client } = kit();
    await client.connect();
    await server.until(() => server.ofType(60).length >= 4);
    expect([client.state, server.connections, server.faults]).toEqual(['connected', 1, []]);
  });

  it.each([
    [1, 100],
    [2, 100],
    [2, undefined],
  ])('shows that the server can move pairs, and only such a server gets BREW_STATE: %i brews, heartbeat %s', async (count, heartbeat) => {
    const [x, y] = [new PairBrew(), Object.assign(new PairBrew(), { name: 'y', failover })];
    let host!: BrewHost;
    x.attach = (given?: BrewHost) => void (host = given!);
    if (heartbeat) server.options.heartbeat = heartbeat;
    const brews = [x, y].slice(0, count);
    const { client } = kit({ brews });
    await client.connect();
    client.addPatron('one', () => undefined);
    host.state?.('x', false, { patronId: id(1) });
    client.addPatron('last', () => undefined);
    await server.until(() => server.ofType(20).length === 2);
    // Other servers get only the packets of the original protocol.
    expect(server.ofType(40)).toEqual([{ brews: brews.map(({ name }) => name), bridge_mode: false }]);
    const down = { brew: 'x', state: 'down', patron_id: id(1) };
    expect(server.ofType(41)).toEqual(count > 1 && heartbeat ? [{ brew: 'x', state: 'up', moves: true }, down] : []);
    expect(server.faults).toEqual([]);
  });

  it.each([[100, true], [99, false], [-1000, false], ['1000', false], [true, false]])('with an announced interval of %j is used: %s', async (heartbeat, isOne) => {
    server.options.heartbeat = heartbeat as number;
    let wake!: () => void;
    const { client } = kit({ lifecycle: (run) => ((wake = run), () => undefined) });
    await client.connect();
    wake();
    client.addPatron('after.it', () => undefined);
    await server.until(() => server.ofType(20).length === 1);
    expect(server.ofType(60).length > 0).toBe(isOne);
  });

  it('ends the connection to a server that does not answer, and the client connects again', async () => {
    server.options = { ...server.options, heartbeat: 100, answer: ({ type }) => (type === 60 ? [] : undefined) };
    const { client, errors } = kit();
    await client.connect();
    await server.until(() => server.connections === 2 && server.ofType(40).length === 2);
    expect(errors.some(({ code, message }) => code === 'CONNECTION_LOST' && /did not answer/.test(message))).toBe(true);
    expect(server.faults).toEqual([]);
  });

  it('is not sent to a server that announces no interval, also not when the page wakes up', async () => {
    let wake!: () => void;
    const { client } = kit({ lifecycle: (run) => ((wake = run), () => undefined) });
    await client.connect();
    wake();
    const before = server.packets.length;
    client.addPatron('a', () => undefined);
    await server.until(() => server.packets.length > before);
    expect(server.ofType(60)).toEqual([]);
  });

  it('is sent at once when the page wakes up', async () => {
    server.options.heartbeat = 60_000;
    let wake!: () => void;
    const stop = vi.fn();
    const { client } = kit({ lifecycle: (run) => ((wake = run), stop) });
    await client.connect();
    wake();
    await server.until(() => server.ofType(60).length === 1);
    await client.disconnect();
    expect(stop).toHaveBeenCalledTimes(1);
  });
});
