import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Brew } from '../src/core/brew.js';
import { Brewer } from '../src/core/brewer.js';
import type { CipherName } from '../src/core/ciphers/cipher.js';
import { Patron } from '../src/core/patron.js';
import { encodeRelayPacket, RelayPacketType } from '../src/core/relay.js';
import { PubkeeperClient } from '../src/index.js';
import { nodeEngine } from '../src/platform/node-engine.js';
import { Relay } from '../src/server/relay.js';
import { watchWrites } from './handle-writes.js';
import { id, rawFrame, settle, sha256 } from './helpers.js';
import { later, start } from './server/harness.js';

// Speed in counts instead of times, which are the same on every machine, however busy. Each limit is about twice the count
// when it was written, and far below the effect of a careless change.

const COUNT = 1000;
const PAYLOAD = new Uint8Array(64).fill(97);
const CIPHERS: readonly CipherName[] = ['aes-gcm', 'aes-cbc', 'none'];

describe('system calls', () => {
  /** The number of writes to TCP sockets in this process, by server and clients. */
  let writes = 0;
  let stop: () => void;

  beforeAll(async () => {
    stop = await watchWrites(() => void writes++);
  });
  afterEach(() => void (writes = 0));
  afterAll(() => stop());

  it.each(CIPHERS)('are at most 20 per 1,000 messages that are brewed, relayed and received (%s)', async (cipher) => {
    const { brewer, heard } = await exchange(cipher, 1);
    const before = writes;
    const all = heard(COUNT);
    for (let i = 0; i < COUNT; i++) await brewer.brew(PAYLOAD);
    await all;
    // By the client and by the server; one for each message would be 2,000.
    expect(writes - before).toBeGreaterThanOrEqual(2);
    expect(writes - before).toBeLessThanOrEqual(20);
  });

  it('are a few per connection for 1,000 messages to 20 patrons with their own connections', async () => {
    const { brewer, heard } = await exchange('aes-gcm', 20);
    const before = writes;
    const all = heard(20 * COUNT);
    for (let i = 0; i < COUNT; i++) await brewer.brew(PAYLOAD);
    await all;
    expect(writes - before).toBeGreaterThanOrEqual(21);
    expect(writes - before).toBeLessThanOrEqual(21 * 4);
  });

  it('are one per message and end when messages come one by one, so that nothing else is sent', async () => {
    const { brewer, heard } = await exchange('aes-gcm', 1);
    const before = writes;
    for (let i = 1; i <= 50; i++) {
      const one = heard(i);
      await brewer.brew(PAYLOAD);
      await one;
    }
    expect(writes - before).toBeGreaterThanOrEqual(100);
    expect(writes - before).toBeLessThanOrEqual(105);
  });

  /** A brewer matched with patrons on their own clients; `heard(n)` resolves when n messages have come in all. */
  async function exchange(cipher: CipherName, patrons: number) {
    // Heartbeats would be counted too, if a busy machine takes long to connect.
    const server = await start({ heartbeatMs: 600_000 });
    const open = (): PubkeeperClient => {
      const client = new PubkeeperClient({ server: server.url, token: server.token! });
      later(() => client.disconnect());
      return client;
    };
    let count = 0;
    let wanted = Infinity;
    let reached = (): void => undefined;
    for (let i = 0; i < patrons; i++) {
      const client = open();
      client.addPatron('guard.*', () => {
        if (++count >= wanted) reached();
      });
      await client.connect();
    }
    const client = open();
    const brewer = client.addBrewer('guard.x', { cipher });
    let added = 0;
    const matched = new Promise<void>((resolve) => brewer.on('added', () => void (++added === patrons && resolve())));
    await client.connect();
    await matched;
    const heard = (number: number): Promise<void> => {
      wanted = number;
      return count >= number ? Promise.resolve() : new Promise((resolve) => (reached = resolve));
    };
    return { brewer, heard };
  }
});

describe('framings', () => {
  interface Member {
    readonly version: 1 | 2;
  }
  const publish = (payload: Uint8Array) => encodeRelayPacket(RelayPacketType.PUBLISH, sha256('guard.x'), rawFrame('guard.x', id(1), payload));
  const join = encodeRelayPacket(RelayPacketType.JOIN, sha256('guard.x'));

  it('are one per fan-out for all connections with the same protocol', () => {
    const written: Buffer[] = [];
    const relay = new Relay<Member>({ cork: () => undefined, write: (_, bytes) => (written.push(bytes), true) });
    for (let i = 0; i < 100; i++) relay.receive({ version: i < 90 ? 2 : 1 }, join);
    const publisher: Member = { version: 2 };
    for (let burst = 0; burst < 10; burst++) {
      for (let i = 0; i < 50; i++) relay.receive(publisher, publish(PAYLOAD));
      relay.flush();
    }
    expect(written).toHaveLength(10 * 100);
    // Two for each burst of 50 messages, not one for each message or connection.
    expect(new Set(written).size).toBe(20);
  });
});

const ROUNDS = 120;

describe('allocations', () => {
  /** Bytes of heap per message: the median over rounds, as garbage may be collected in some of them. */
  async function bytesEach(round: () => Promise<void> | void, messages: number): Promise<number> {
    const taken: number[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      const before = process.memoryUsage().heapUsed;
      await round();
      taken.push((process.memoryUsage().heapUsed - before) / messages);
    }
    // Skip the first rounds, in which Node 24 has not compiled the code yet.
    return taken.slice(-40).sort((a, b) => a - b)[20]!;
  }

  it.each([
    // A promise for each message would take 200 and more.
    ['none', 650],
    ['aes-cbc', 750],
    ['aes-gcm', 350],
  ] as const)('per message that a patron delivers (%s) are at most %i bytes', async (cipher, most) => {
    const frames: Uint8Array[] = [];
    const brew = { startBrewer: () => () => undefined, brew: (_: unknown, frame: Uint8Array) => void frames.push(frame) };
    const brewer = new Brewer('guard.x', { cipher });
    brewer._lend({ brew: () => brew as unknown as Brew, engine: nodeEngine } as never);
    brewer.configure();
    brewer.newPatrons([{ topic: 'guard.x', patron_id: id(2), brew: { name: 'x' } }]);
    let count = 0;
    const patron = new Patron('guard.*', () => void count++);
    patron._lend({ brew: () => ({ startPatron: () => () => undefined }) as unknown as Brew, engine: nodeEngine } as never);
    patron.newBrewers([{ topic: 'guard.x', brewer_id: brewer.brewerId, brewer_config: brewer.getConfig(), brew: { name: 'x' } }]);
    let brewed = 0;
    const sets: Uint8Array[][] = [];
    for (let i = 0; i < ROUNDS; i++) {
      for (let n = 0; n < COUNT; n++, brewed++) void brewer.brew(PAYLOAD);
      await settle();
      sets.push(frames.splice(0));
    }
    const each = await bytesEach(async () => {
      for (const frame of sets.shift()!) patron._handleCallback(brewer.brewerId, frame);
      await Promise.resolve();
    }, COUNT);
    expect(count).toBe(brewed);
    expect(each).toBeLessThan(most);
  });

  it('per delivery of a fan-out are at most 40 bytes', async () => {
    const relay = new Relay<{ version: 2 }>({ cork: () => undefined, write: () => true });
    const topic = sha256('guard.x');
    for (let i = 0; i < 100; i++) relay.receive({ version: 2 }, encodeRelayPacket(RelayPacketType.JOIN, topic));
    const packet = encodeRelayPacket(RelayPacketType.PUBLISH, topic, rawFrame('guard.x', id(1), PAYLOAD));
    const publisher = { version: 2 } as const;
    const each = await bytesEach(() => {
      for (let i = 0; i < 100; i++) {
        relay.receive(publisher, packet);
        if (i % 10 === 9) relay.flush();
      }
    }, 100 * 100);
    // A frame for each connection would take 250.
    expect(each).toBeLessThan(40);
  });
});
