import { createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { connect, start, until } from '../server/harness.js';
import { RawRelay, dial, encodeFrame, encodeRelay, newId } from '../server/raw-client.js';
import { heap, MiB, report, scale } from './kit.js';

// Floods by clients that have no right, or of topics and ids that nobody knows.

describe('the relay', () => {
  it('in the profile secured delivers and keeps nothing that was not granted', async () => {
    const server = await start({ profile: 'secured' });
    const [control, reader, stranger] = [await connect(server), await RawRelay.open(server.relayUrl), await RawRelay.open(server.relayUrl)];
    const [brewer_id, patron_id] = [newId(), newId()];
    const brews = [{ name: 'websocket', hostname: '127.0.0.1', port: server.port, secure: false }];
    control.send(10, { topic: 'real', brewer_id, brewer_config: {}, brews });
    await control.expect(22);
    control.send(20, { topic: 'real', patron_id, brews: [{ name: 'websocket' }] });
    const told = (await control.expect(12)) as { brewers: { brew: { ticket: string } }[] };
    reader.socket.send(encodeRelay(0, 'real', Buffer.from(told.brewers[0]!.brew.ticket, 'hex')));
    await reader.settled();
    const brewers = (await control.expect(22)) as { patrons: { brew: { ticket: string } }[] };
    const grant = Buffer.from(brewers.patrons[0]!.brew.ticket, 'hex');

    const count = scale(1_000, 10_000);
    const before = { stats: server.stats(), heap: await heap() };
    // Joins without a ticket, with a random one, with a forged one, and with one for publishing.
    const forged = Buffer.concat([grant.subarray(0, 56), createHmac('sha256', 'no key').update(grant.subarray(0, 56)).digest()]);
    for (let i = 0; i < count; i++) {
      const ticket = [Buffer.alloc(0), randomBytes(88), forged, grant][i % 4]!;
      stranger.socket.send(encodeRelay(0, i % 2 ? 'real' : `other.${i}`, ticket));
      if (i % 500 === 499) await stranger.settled();
    }
    // Publishes without a grant, half of them with the real brewer's id.
    for (let i = 0; i < count; i++) {
      stranger.publish('real', i % 2 ? brewer_id : newId(), 'forged');
      if (i % 500 === 499) await stranger.settled();
    }
    await stranger.settled();
    // With a grant for one brewer, publishes frames of others.
    stranger.socket.send(encodeRelay(4, 'real', grant));
    for (let i = 0; i < count; i++) {
      stranger.publish('real', newId(), 'spoofed');
      if (i % 500 === 499) await stranger.settled();
    }
    await stranger.settled();
    const { drops, topics, retained, published, delivered } = server.stats();
    const grown = (await heap()) - before.heap;
    report('ungranted', { tried: 3 * count, counted: drops['no-ticket'], delivered, retained, published, grown });
    expect(drops).toEqual({ 'no-ticket': 3 * count });
    expect({ topics, retained, published, delivered }).toEqual({ topics: 1, retained: 0, published: 0, delivered: 0 });
    expect(reader.inbox.waiting).toEqual([]);
    expect(grown).toBeLessThan(5 * MiB);
    // A frame of the granted brewer is still delivered.
    stranger.publish('real', brewer_id, 'granted');
    expect(await reader.text()).toBe('granted');
  });

  it('grows little by a flood of unknown topics and ids', async () => {
    const count = scale(20_000, 1_000_000);
    const server = await start({ limits: { relayMessagesPerSecond: 1e9 } });
    const relay = new RawRelay(await dial(server.relayUrl, ['pubkeeper-relay-2']));
    const packet = (i: number): Buffer => encodeRelay(2, `unknown.${i}`, encodeFrame(`unknown.${i}`, newId(), ''));
    const before = await heap();
    for (let sent = 0; sent < count; sent += 400) {
      relay.socket.send(Buffer.concat(Array.from({ length: Math.min(400, count - sent) }, (_, at) => packet(sent + at))));
      await relay.settled();
    }
    // Joined and left again, so that the relay forgets each topic.
    for (let i = 0; i < count; i += 400) {
      const batch: Buffer[] = [];
      for (let at = i; at < Math.min(count, i + 400); at++) batch.push(encodeRelay(0, `gone.${at}`), encodeRelay(1, `gone.${at}`));
      relay.socket.send(Buffer.concat(batch));
      await relay.settled();
    }
    const grown = (await heap()) - before;
    const { topics, retained, published } = server.stats();
    report('unknown hashes and ids', { count, grown, topics, retained });
    expect({ topics, published }).toEqual({ topics: 0, published: count });
    expect(retained).toBeLessThanOrEqual(10_000);
    expect(grown).toBeLessThan(20 * MiB);
  });

  it('forgets the topics of a client that leaves', async () => {
    const server = await start();
    const relay = await RawRelay.open(server.relayUrl);
    for (let i = 0; i < 2_000; i++) relay.join(`t.${i}`);
    await relay.settled();
    expect(server.stats().topics).toBe(2_000);
    await relay.close();
    await until(() => server.stats().topics === 0);
  });
});
