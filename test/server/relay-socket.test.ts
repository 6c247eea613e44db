// What the relay writes to its sockets, and when.
import { expect, it, onTestFinished, vi } from 'vitest';
import { connect, joinRelay, start, until } from './harness.js';
import { RawRelay, newId } from './raw-client.js';

const MiB = 1024 * 1024;

it('frames of several topics in one tick all reach a connection', async () => {
  const server = await start();
  const [reader, writer] = [await joinRelay(server), await joinRelay(server)];
  const topics = ['a', 'b', 'c'];
  for (const topic of topics) reader.join(topic);
  await reader.settled();
  writer.atOnce(() => {
    for (const topic of topics) writer.publish(topic, newId(), topic);
  });
  for (const topic of topics) expect(await reader.text()).toBe(topic);
});

it('a slow reader gets the newest value when it reads again, also with a limit below the socket’s own high-water mark', async () => {
  const server = await start({ limits: { bufferedBytes: 8 * 1024 } });
  const [reader, writer] = [await joinRelay(server), await joinRelay(server)];
  reader.join('a');
  await reader.settled();
  reader.socket.pause();
  const id = newId();
  let sent = 0;
  // One by one, as together they would be a longer message.
  for (; !server.stats().drops['slow-reader']; await writer.settled()) writer.publish('a', id, String(sent++).padEnd(4_000));
  // Each missed frame counts, also of those that come together.
  const missed = Number(server.stats().drops['slow-reader-frame']);
  expect(missed).toBeGreaterThan(0);
  writer.atOnce(() => {
    for (let i = 0; i < 5; i++) writer.publish('a', id, String(sent++));
  });
  await writer.settled();
  expect(server.stats().drops['slow-reader-frame']).toBe(missed + 5);
  reader.socket.resume();
  while (Number(await reader.text()) < sent - 1);
});

it('a reader that was full, and has read all, gets its PING answered', async () => {
  const server = await start({ maxMessageBytes: 32 * MiB });
  const [reader, writer] = [await RawRelay.open(server.relayUrl, ['pubkeeper-relay-2']), await joinRelay(server)];
  reader.join('a');
  await reader.settled();
  reader.socket.pause();
  // More than the network buffers for a connection that does not read.
  writer.publish('a', newId(), 'x'.repeat(24 * MiB));
  await until(() => server.stats().bufferedBytes > MiB);
  reader.socket.resume();
  await reader.next();
  await until(() => server.stats().bufferedBytes === 0);
  const ping = Buffer.alloc(40);
  ping.writeUInt16LE(60, 0);
  reader.socket.send(ping);
  expect(await reader.next()).toEqual(Buffer.from([60, 0, 0, 0, 0, 0, 0, 0]));
});

it.each(['the reader is ready', 'its rest is over'])('the relay reads from a publisher that exceeded its rate and waits for a reader when both are over, also when %s first', async (first) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const server = await start({ maxMessageBytes: 32 * MiB, limits: { relayMessagesPerSecond: 1 } });
  const [reader, writer, other] = [await joinRelay(server), await joinRelay(server), await connect(server)];
  const rounds = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await other.settled();
  };
  const isRead = (): boolean => server.stats().drops['relay-text'] === 1;
  reader.join('a');
  await reader.settled();
  reader.socket.pause();
  // Two pings are within the rate; the frame exceeds it, and the network buffers of a reader that does not read.
  writer.socket.ping();
  writer.socket.ping();
  writer.publish('a', newId(), 'x'.repeat(24 * MiB));
  await until(() => server.stats().drops['relay-rate'] === 1);
  writer.socket.send('late');
  const drain = async (): Promise<void> => {
    reader.socket.resume();
    await reader.next();
    await until(() => server.stats().bufferedBytes === 0);
  };
  const rest = async (): Promise<void> => void vi.advanceTimersByTime(1_000);
  const [one, two] = first === 'its rest is over' ? [rest, drain] : [drain, rest];
  await one();
  await rounds();
  expect(isRead()).toBe(false);
  await two();
  await until(isRead);
  // That exceeded the rate again, and while the connection rests its end is not seen.
  await rest();
});

it('the relay reads from a publisher that waits for a reader at once when that reader goes', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const server = await start({ maxMessageBytes: 32 * MiB });
  const [reader, writer, other] = [await joinRelay(server), await joinRelay(server), await connect(server)];
  reader.join('a');
  await reader.settled();
  reader.socket.pause();
  writer.publish('a', newId(), 'x'.repeat(24 * MiB));
  await until(() => server.stats().bufferedBytes > MiB);
  writer.socket.send('late');
  for (let i = 0; i < 5; i++) await other.settled();
  expect(server.stats().drops).toEqual({});
  reader.socket.terminate();
  await until(() => server.stats().drops['relay-text'] === 1);
});

it('nobody waits for a reader whose socket will emit no drain event', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const server = await start({ limits: { bufferedBytes: 1024 } });
  const [reader, writer] = [await joinRelay(server), await joinRelay(server)];
  reader.join('a');
  await reader.settled();
  reader.socket.pause();
  const id = newId();
  // More than a quarter of the limit waits then, and less than the socket's high-water mark.
  for (; server.stats().bufferedBytes < 256; await writer.settled()) writer.publish('a', id, 'x'.repeat(2_000));
  expect(server.stats().bufferedBytes).toBeLessThan(16_384);
  // The earlier ping came together with the frame; this one is read by itself.
  await writer.settled();
  reader.socket.terminate();
});
