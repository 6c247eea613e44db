import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Kvm } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';
import { afterEach, describe, expect, it } from 'vitest';
import { certificate } from '../../brews/processes.js';
import { pubkeeper } from '../../cli/harness.js';
import { QUIET, scene, until } from './kit.js';
import { NATS, startNats } from './nats.js';
import { id } from '../../helpers.js';

const stage = scene();
afterEach(() => stage.end(), 60_000);

describe.skipIf(!NATS)('the permissions that a server needs in NATS', { timeout: 90_000 }, () => {
  it('are those of docs/scaling.md, also with many registrations', async () => {
    const text = readFileSync(fileURLToPath(new URL('../../../docs/scaling.md', import.meta.url)), 'utf8');
    const [, sentence] = /^Servers need (.*?)\. Grant/m.exec(text)!;
    const subjects = [...sentence!.matchAll(/`(.+?)`/g)].map(([, subject]) => JSON.stringify(subject!.replace('<name>', 'pubkeeper')));
    expect(subjects.length).toBeGreaterThan(3);
    const only = `[${subjects.join(', ')}]`;
    const nats = stage.own(await startNats({
      config: `authorization { users: [{ user: server, password: s, permissions: { publish: ${only}, subscribe: ${only} } }, { user: all, password: a }] }`,
    }));
    const told: string[] = [];
    const logger = { ...QUIET, warn: (line: unknown) => void told.push(String(line)) };
    const options = { cluster: { servers: nats.url, username: 'server', password: 's' }, logger };
    const first = await stage.server('', options);
    const connection = await connect({ servers: nats.url, user: 'all', pass: 'a' });
    stage.own({ kill: () => connection.close() });
    const bucket = await new Kvm(connection).open('pubkeeper_pubkeeper');
    const record = JSON.stringify({ topic: 'much.x', brews: [{ name: 'websocket' }], at: 1, reads: ['**'] });
    for (let n = 0; n < 6000; n += 500) {
      await Promise.all(Array.from({ length: 500 }, (_, more) => bucket.put(`abcdefghijkl.p.${id(n + more + 1)}`, record)));
    }
    const second = await stage.server('', options);
    await until(() => [first, second].every((server) => server.stats().cluster!.ready && server.stats().cluster!.servers === 1), 'both ready');
    expect(told).toEqual([]);
  });

  it('are reported once for each that is missing, however often it is tried', async () => {
    const own = '["pubkeeper-cluster.other.>", "$KV.pubkeeper_other.>", "$JS.API.>", "_INBOX.>"]'; // the permissions are for a network of another name
    const nats = stage.own(await startNats({
      config: `authorization { users: [{ user: server, password: s, permissions: { publish: ${own}, subscribe: ${own} } }] }`,
    }));
    const told: string[] = [];
    const logger = { ...QUIET, warn: (line: unknown) => void told.push(String(line)) };
    await expect(stage.server('', { cluster: { servers: nats.url, username: 'server', password: 's' }, logger })).rejects.toMatchObject({ code: 'CLUSTER_FAILED' });
    const refused = told.filter((line) => line.startsWith('NATS says: Permissions Violation'));
    expect(refused.length).toBeGreaterThan(1);
    expect(refused).toEqual([...new Set(refused)]);
  });
});

describe.skipIf(!NATS)('a registry that cannot be reached any more', { timeout: 90_000 }, () => {
  it('is reported once, however often it is tried', async () => {
    const nats = stage.own(await startNats());
    const told: string[] = [];
    const logger = { ...QUIET, warn: (line: unknown) => void told.push(String(line)) };
    const server = await stage.server(nats.url, { logger });
    await until(() => server.stats().cluster!.ready, 'readiness');
    const only = '["pubkeeper-cluster.pubkeeper.>", "_INBOX.>"]';
    await nats.restart(`authorization { users: [{ user: u, password: p, permissions: { publish: ${only}, subscribe: ${only} } }] }, no_auth_user: u`);
    await until(() => !server.stats().cluster!.ready, 'the outage');
    await until(() => server.stats().cluster!.ready === false && server.stats().cluster!.resyncs > 6, 'some more attempts');
    const registry = told.filter((line) => line.startsWith('The registry in NATS'));
    expect(registry.length).toBeGreaterThan(0);
    expect(registry).toEqual([...new Set(registry)]);
  });
});

describe.skipIf(!NATS)('a JetStream without memory', { timeout: 90_000 }, () => {
  it('is reported with the setting to raise', async () => {
    const nats = stage.own(await startNats({
      config: 'accounts { A { jetstream { max_mem: 1MB, max_file: 0 }, users: [{ user: u, password: p }] } }, no_auth_user: u',
    }));
    const told: string[] = [];
    const server = await stage.server(nats.url, { logger: { ...QUIET, warn: (line: unknown) => void told.push(String(line)) } });
    const connection = await connect({ servers: nats.url });
    stage.own({ kill: () => connection.close() });
    const bucket = await new Kvm(connection).open('pubkeeper_pubkeeper');
    const fill = async (length: number): Promise<void> => {
      for (let n = 0; ; n++) await bucket.put(`abcdefghijkl.p.${length}-${n}`, 'x'.repeat(length));
    };
    await expect(fill(100_000)).rejects.toThrow(/resource/);
    await expect(fill(1)).rejects.toThrow(/resource/);
    const client = stage.client(server);
    client.addBrewer('full.x');
    await client.connect();
    const line = await until(() => told.find((text) => text.startsWith('The registry in NATS')), 'the word');
    expect(line).toMatch(/: JetStream has no memory left for what is registered \(.*resource.*\): raise max_mem of nats-server, or that of the account\.$/);
  });
});

describe.skipIf(!NATS)('a NATS server with TLS', { timeout: 90_000 }, () => {
  const tls = async (address?: string) => {
    const { cert, key, remove } = certificate(address);
    stage.own({ kill: async () => remove() });
    const nats = stage.own(await startNats({ config: `tls { cert_file: "${cert}", key_file: "${key}" }` }));
    return { cert, url: nats.url.replace('nats:', 'tls:') };
  };

  it('whose certificate is signed by an unknown authority: the error says how to name the authority', async () => {
    await expect(stage.server((await tls()).url)).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringMatching(/certificate.*NODE_EXTRA_CA_CERTS=<file in PEM>\.$/),
    });
  });

  it('whose certificate is for an IP address: a cluster and NatsBrew connect to that address', async () => {
    const { cert, url } = await tls();
    const env = { NODE_EXTRA_CA_CERTS: cert, PUBKEEPER_TOKEN: 'numbers' };
    const server = pubkeeper(['serve', '--json', '--port', '0', '--cluster', url], { env });
    await server.prints(/\n/);
    const way = ['--server', (JSON.parse(server.stdout.all) as { url: string }).url, '--brew', `nats=${url}`];
    const patron = pubkeeper(['patron', 'numbers.*', '--lines', '--count', '1', ...way], { env });
    const brewer = pubkeeper(['brew', 'numbers.one', 'by TLS', ...way], { env });
    expect([await patron.exit, await brewer.exit, patron.stdout.all]).toEqual([0, 0, 'by TLS\n']);
  });

  it('whose certificate is for another address: the error says so', async () => {
    const { cert, url } = await tls('192.0.2.1');
    const server = pubkeeper(['serve', '--json', '--port', '0', '--cluster', url], { env: { NODE_EXTRA_CA_CERTS: cert } });
    expect(await server.exit).toBe(1);
    expect(server.stderr.all).toMatch(/certificate's altnames: IP: 127\.0\.0\.1 .*\): name it as its certificate does, and begin the address with tls:\/\/\.$/m);
  });
});
