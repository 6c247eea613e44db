import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterEach, describe, expect, it } from 'vitest';
import { scene, until } from './kit.js';
import { NATS, startNats } from './nats.js';

// The beats that the servers of a cluster publish to say that they are alive.

const stage = scene();
afterEach(() => stage.end(), 60_000);

const SUBJECT = 'pubkeeper-cluster.pubkeeper.beat';

interface Said {
  readonly server: string;
  readonly hello?: true;
  readonly bye?: true;
}

/** A connection that listens and publishes on the subject of the beats. */
async function listener(url: string, heard: (said: Said) => void): Promise<{ say(beat: object): void; connection: NatsConnection }> {
  const connection = await connect({ servers: url });
  connection.subscribe(SUBJECT, { callback: (_error, message) => heard(message.json<Said>()) });
  await connection.flush();
  stage.own({ kill: () => connection.close() });
  return { connection, say: (beat) => connection.publish(SUBJECT, JSON.stringify({ server: 'abcdefghijkl', clock: 1, ...beat })) };
}

describe.skipIf(!NATS)('a server of a cluster', { timeout: 60_000 }, () => {
  it('publishes no beat after it has left, not even for a new server', async () => {
    const nats = stage.own(await startNats());
    const server = await stage.server(nats.url);
    const said: Said[] = [];
    const { connection, say } = await listener(nats.url, (beat) => {
      if (beat.server === 'abcdefghijkl') return;
      said.push(beat);
      if (beat.bye) say({ hello: true });
    });
    await server.close();
    await connection.flush();
    expect(said.at(-1)).toMatchObject({ bye: true });
  });

  it('writes its registrations again when other servers have removed them', async () => {
    const nats = stage.own(await startNats());
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const servers = new Set<string>();
    const { connection, say } = await listener(nats.url, ({ server }) => servers.add(server));
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const patron = reader.addPatron('woken.*');
    const brewer = writer.addBrewer('woken.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => patron.isMatched && brewer.isMatched, 'the match');
    await until(() => servers.size === 2, 'the names of both');
    // As after a pause of more than a minute, in which the others have taken the server for dead.
    const { streams } = await jetstreamManager(connection);
    for (const server of servers) {
      await streams.purge('KV_pubkeeper_pubkeeper', { filter: `$KV.pubkeeper_pubkeeper.${server}.>` });
      say({ forgot: server });
    }
    const late = await stage.server(nats.url);
    await until(() => late.stats().cluster!.registrations === 2, 'both at a server that is new');
  });
});
