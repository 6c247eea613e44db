// A limit on the length of messages that is shorter than what clients combine into one.
import { expect, it } from 'vitest';
import { PubkeeperClient } from '../../src/index.js';
import { connect, joinRelay, later, start, until } from './harness.js';
import { RawRelay, encodeFrame, encodeJson, encodeRelay, newId } from './raw-client.js';

it('accepts batches of clients up to 64 KiB, whatever maxMessageBytes is', async () => {
  const server = await start({ maxMessageBytes: 4096 });
  const clients = [0, 1].map(() => new PubkeeperClient({ server: server.url, token: server.token! }));
  for (const client of clients) later(() => client.disconnect());
  let heard = 0;
  clients[0]!.addPatron('*', () => void heard++);
  const brewers = (['aes-gcm', 'none'] as const).map((cipher, i) => clients[1]!.addBrewer(`t${i}`, { cipher }));
  await Promise.all(clients.map((client) => client.connect()));
  await until(() => brewers.every(({ isMatched }) => isMatched));
  // Many messages at once, which become batches of the relay, and bundles of the sealed brewer.
  const brewed = brewers.flatMap((brewer) => Array.from({ length: 300 }, () => brewer.brew(new Uint8Array(200))));
  await Promise.all(brewed);
  await until(() => heard === 600);
  expect(server.stats().drops).toEqual({});
});

it('tells a client that brews a message over maxMessageBytes why it is closed, and delivers shorter ones afterwards', async () => {
  const server = await start({ maxMessageBytes: 70_000 });
  const client = new PubkeeperClient({ server: server.url, token: server.token! });
  later(() => client.disconnect());
  const errors: string[] = [];
  const lengths: number[] = [];
  client.on('error', ({ code, message }) => void errors.push(`${code} ${message}`));
  const reader = new PubkeeperClient({ server: server.url, token: server.token! });
  later(() => reader.disconnect());
  reader.addPatron('a', ({ length }) => void lengths.push(length));
  const brewer = client.addBrewer('a');
  await Promise.all([client.connect(), reader.connect()]);
  await until(() => brewer.isMatched);
  await brewer.brew(new Uint8Array(80_000));
  await until(() => errors.length > 0);
  expect(errors).toEqual([expect.stringMatching(/^CONNECTION_LOST .* closed the connection \(1009: A message is longer than this server accepts \(maxMessageBytes\): send it in parts\.\)/)]);
  await brewer.brew(new Uint8Array(7));
  await until(() => lengths.includes(7));
  expect(lengths).not.toContain(80_000);
});

it('accepts a message of exactly maxMessageBytes, whatever the cipher adds to it, and a control packet of that length', async () => {
  const maxMessageBytes = 100_000;
  const server = await start({ maxMessageBytes });
  const options = { server: server.url, token: server.token! };
  const [reader, writer] = [new PubkeeperClient(options), new PubkeeperClient(options)];
  for (const client of [reader, writer]) later(() => client.disconnect());
  const lengths: number[] = [];
  reader.addPatron('*', ({ length }) => void lengths.push(length));
  const brewers = (['aes-gcm', 'aes-cbc', 'none'] as const).map((cipher, i) => writer.addBrewer(`t${i}`, { cipher }));
  await Promise.all([reader.connect(), writer.connect()]);
  await until(() => brewers.every(({ isMatched }) => isMatched));
  for (const brewer of brewers) await brewer.brew(new Uint8Array(maxMessageBytes));
  await until(() => lengths.length === 3);
  expect(lengths).toEqual(brewers.map(() => maxMessageBytes));

  const client = await connect(server);
  const send = (length: number): void => {
    const text = JSON.stringify({ topic: 'a', patron_id: newId(), brews: [{ name: 'b' }], filling: '' });
    client.socket.send(encodeJson(20, text.replace('""', `"${'x'.repeat(length - text.length)}"`)));
  };
  send(maxMessageBytes);
  expect(await client.expect(12)).toMatchObject({ brewers: [] });
  expect(server.stats().drops).toEqual({});
  send(maxMessageBytes + 1);
  expect((await client.closed).code).toBe(1009);
  expect(server.stats().drops).toEqual({ 'too-long': 1 });
});

it.each(['pubkeeper-1.0.0', 'pubkeeper-relay-2'])('refuses a message that is too long with 1009, also in a batch (%s)', async (protocol) => {
  const server = await start({ maxMessageBytes: 2000 });
  const [relay, reader] = [await RawRelay.open(server.relayUrl, [protocol]), await joinRelay(server)];
  reader.join('a');
  await reader.settled();
  const [good, long] = [2000, 3000].map((length) => encodeRelay(2, 'a', encodeFrame('a', newId(), 'x'.repeat(length))));
  if (protocol === 'pubkeeper-relay-2') relay.socket.send(Buffer.concat([good!, long!]));
  else for (const packet of [good!, long!]) relay.socket.send(packet);
  expect((await relay.closed).code).toBe(1009);
  expect((await reader.text()).length).toBe(2000);
  expect(server.stats()).toMatchObject({ published: 1, drops: { 'too-long': 1 } });
});
