import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { MqttBrew, type MqttBrewOptions } from '../../src/brews/mqtt.js';
import { newId } from '../../src/core/index.js';
import { FaultProxy } from '../faults/proxy.js';
import { freePort } from '../free-port.js';
import { rawFrame, rejected, thrown } from '../helpers.js';
import { aedes, type Broker } from './aedes.js';
import { answersInParts, brewing, carriesInOrder, carriesMany, cleaning, comesBack, comesBackLater, farAway, fillsUp, givesMissed, isChecked, isDialledOn, isLetIn, isRefused, isRefusedLater, keepsLast, keepsNothing, rests, restsWhileDialling } from './broker-kit.js';
import { certificate, files, findProgram, mosquitto } from './processes.js';
import { pair, receiver, TOPIC } from './rig.js';

const program = findProgram('mosquitto');

const clean = cleaning();
const brew = brewing(clean, (options: MqttBrewOptions) => new MqttBrew(options));

type Start = (options?: { tcp?: number; ws?: number; login?: boolean }) => Promise<Broker>;

const startMosquitto: Start = async ({ tcp, ws, login } = {}) => {
  const made = files({ passwords: '' });
  clean.push(made.remove);
  if (login) spawnSync('mosquitto_passwd', ['-b', made.path('passwords'), 'me', 'right']);
  const passwords = login ? readFileSync(made.path('passwords'), 'utf8') : undefined;
  return mosquitto(program!, { ...(tcp && { tcp }), ...(ws && { ws }), ...(passwords !== undefined && { passwords }) });
};

const PUBLISH = 3;

/** The MQTT packets in what a client has sent: a byte with the type, the length of the rest in groups of 7 bits, and the rest. */
function packets(bytes: Buffer): { type: number; body: Buffer }[] {
  const found: { type: number; body: Buffer }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const type = bytes[at++]! >> 4;
    let length = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      length |= (bytes[at]! & 0x7f) << shift;
      more = bytes[at++]! > 0x7f;
    }
    found.push({ type, body: bytes.subarray(at, (at += length)) });
  }
  return found;
}

describe.each([
  ['mosquitto', startMosquitto, program === undefined],
  ['aedes', aedes, false],
] as const)('MqttBrew and %s', (_, start, skip) => {
  const serve: Start = async (options) => {
    const broker = await start(options);
    let alive = true;
    const kill = async (): Promise<void> => {
      if (alive) await broker.kill();
      alive = false;
    };
    clean.push(kill);
    return { ...broker, kill };
  };

  it.skipIf(skip).each([
    ['tcp', 0],
    ['tcp', 1],
    ['ws', 0],
    ['ws', 1],
  ] as const)('delivers frames in order over %s with QoS %i, also those brewed before the patron had subscribed', async (way, qos) => {
    const broker = await serve();
    await carriesInOrder(brew({ url: broker[way], qos }), brew({ url: broker[way], qos }));
  });

  it.skipIf(skip)('asks at most three times for each of hundreds of pairs that begin at once', async () => {
    const broker = await serve();
    const far = await farAway(clean, broker.ports[0]);
    const url = `mqtt://127.0.0.1:${far.port}`;
    const count = await carriesMany(brew({ url }), brew({ url }));
    const questions = far.sent().match(/\/join[\da-f]{32}(?!\+)/g)!;
    // One question, and perhaps two more, as an answer takes twice as long as a reply of the broker.
    expect(questions.length).toBeGreaterThanOrEqual(count);
    expect(questions.length).toBeLessThanOrEqual(3 * count);
  });

  it.skipIf(skip)('delivers the frames of hundreds of pairs that begin at once with QoS 1', async () => {
    const broker = await serve();
    await carriesMany(brew({ url: broker.tcp, qos: 1 }), brew({ url: broker.tcp, qos: 1 }));
  });

  it.skipIf(skip)('publishes on one topic for each brewer, below the given prefix, so that the broker can grant it', async () => {
    const broker = await serve();
    const box = await pair(brew({ url: broker.tcp, alternatives: [broker.ws], prefix: 'plant/a' }).brew, brew({ url: broker.ws }).brew);
    expect(box.details).toEqual({
      name: 'mqtt',
      tcp: [broker.tcp],
      ws: [broker.ws],
      topic: `plant/a/demo/one/${box.brewerId}`,
      join: true,
    });
    void box.say('one');
    expect(await box.next()).toBe('one');
  });

  it.skipIf(skip)('delivers messages after its only patron has stopped and started several times in one tick', async () => {
    const broker = await serve();
    const { stop, start, say, next } = await pair(brew({ url: broker.tcp }).brew, brew({ url: broker.tcp }).brew);
    await say('one');
    expect(await next()).toBe('one');
    stop();
    start()();
    start();
    for (const text of ['two', 'three']) {
      await say(text);
      let came = '';
      while (came !== text) came = await next();
    }
  });

  it.skipIf(skip)('keeps the last value at the broker for new patrons, until the brew is closed', async () => {
    const broker = await serve();
    const writer = brew({ url: broker.tcp });
    const box = await keepsLast(writer, brew({ url: broker.tcp }), brew({}));
    await writer.brew.close();
    // A brewer with the same id: a patron now gets only messages of this one.
    const again = brew({ url: broker.tcp });
    const fresh = await pair(again.brew, brew({ url: broker.tcp }).brew, box.brewerId);
    await fresh.say('three');
    expect(await fresh.next()).toBe('three');
    expect(fresh.all[0]!.retained).toBe(false);
  });

  it.skipIf(skip)('gives new patrons no last value that a killed brewer of the same id has left at the broker', async () => {
    const broker = await serve();
    const proxy = await FaultProxy.listen(() => broker.ports[0]);
    clean.push(() => proxy.close());
    const killed = brew({ url: `mqtt://127.0.0.1:${proxy.port}`, alternatives: [broker.tcp] });
    const reader = brew({ url: broker.tcp });
    const { brewerId, say, next } = await pair(killed.brew, reader.brew);
    await say('old');
    expect(await next()).toBe('old');
    // Nothing that it sends arrives any more.
    proxy.blackhole('both');
    await killed.brew.close();
    const again = brew({ url: broker.tcp });
    again.brew.brewerDetails({ topic: TOPIC, brewerId });
    const other = await pair(again.brew, reader.brew);
    await other.say('here');
    expect(await other.next()).toBe('here');
    await keepsNothing(again, brew({ url: broker.tcp }), brewerId);
  });

  it.skipIf(skip)('gives the last value, of which the broker tells a subscription once, to each patron of one client, also when the first has stopped', async () => {
    const broker = await serve();
    const [writer, reader] = [brew({ url: broker.tcp }), brew({ url: broker.tcp })];
    const first = await pair(writer.brew, reader.brew);
    // Before there is any.
    const early = await pair(writer.brew, reader.brew, first.brewerId);
    await first.say('one');
    await first.say('two');
    for (const box of [first, early]) expect(await box.take(2)).toEqual(['one', 'two']);
    early.stop();
    const second = await pair(writer.brew, reader.brew, first.brewerId);
    expect(await second.next()).toBe('two');
    first.stop();
    const third = await pair(writer.brew, reader.brew, first.brewerId);
    expect(await third.next()).toBe('two');
    await third.say('three');
    expect([await second.next(), await third.next()]).toEqual(['three', 'three']);
    for (const { all } of [second, third]) expect(all.map(({ text, retained }) => [text, retained === true])).toEqual([['two', true], ['three', false]]);
    for (const { all } of [first, early]) expect(all).toHaveLength(2);
  });

  it.skipIf(skip).each([0, 1] as const)('delivers once to each patron that moves from another brew the messages that it missed, with QoS %i', async (qos) => {
    const broker = await serve();
    await givesMissed(brew({ url: broker.tcp, qos }), brew({ url: broker.tcp, qos }), brew({ qos }));
  });

  it.skipIf(skip)('delivers to all patrons a message that is brewed right before one of them is sent what it missed', async () => {
    const broker = await serve();
    const [writer, reader] = [brew({ url: broker.tcp }), brew({ url: broker.tcp })];
    const { brewerId, patronId, details, say, next, take } = await pair(writer.brew, reader.brew);
    await say('one');
    expect(await next()).toBe('one');
    const second = receiver();
    const other = { topic: TOPIC, brewerId, patronId: newId() };
    writer.brew.startBrewer({ ...other, details: reader.brew.patronDetails()! });
    reader.brew.startPatron({ ...other, details, receive: second.receive });
    await say('two');
    expect([await next(), await second.next()]).toEqual(['two', 'two']);
    void say('three');
    writer.brew.startBrewer({ topic: TOPIC, brewerId, patronId, details: reader.brew.patronDetails()!, missed: [rawFrame(TOPIC, brewerId, 'missed')] });
    // The patron was there all the time, so it gets what it missed after the newer message.
    expect([await take(2), await second.next()]).toEqual([['three', 'missed'], 'three']);
  });

  it.skipIf(skip)('keeps no last value when lastValue is false', async () => {
    const broker = await serve();
    const writer = brew({ url: broker.tcp, lastValue: false });
    const reader = brew({ url: broker.tcp });
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    const said = await keepsNothing(writer, brew({ url: broker.tcp }), box.brewerId);
    // A message that is still on its way to this client would also reach a patron that joins there.
    expect(await box.next()).toBe(said);
    await keepsNothing(writer, reader, box.brewerId);
  });

  it.skipIf(skip).each([0, 1] as const)('connects again when the broker is back, and sends then what was brewed meanwhile, with QoS %i', async (qos) => {
    const broker = await serve();
    const [writer, reader] = [brew({ url: broker.tcp, qos }), brew({ url: broker.tcp, qos })];
    const box = await comesBack('mqtt', writer, reader, broker, () => serve({ tcp: broker.ports[0] }));
    // The broker keeps this message if it came before the patron.
    expect(await box.next()).toBe('meanwhile');
    await box.say('after');
    expect(await box.next()).toBe('after');
    expect(writer.errors.map(({ code }) => code)).toEqual(['CONNECTION_LOST']);
  });

  it.skipIf(skip).each([0, 1] as const)('gives a patron that is back later than its brewer what was brewed while the broker was away, with QoS %i', async (qos) => {
    const broker = await serve();
    const proxy = await FaultProxy.listen(() => broker.ports[0]);
    clean.push(() => proxy.close());
    const writer = brew({ url: broker.tcp, alternatives: [`mqtt://127.0.0.1:${proxy.port}`], qos });
    const reader = brew({ url: `mqtt://127.0.0.1:${proxy.port}`, qos });
    await comesBackLater(writer, reader, proxy, broker, () => serve({ tcp: broker.ports[0] }));
  });

  it.skipIf(skip).each([0, 1] as const)('closes its connections while the page is put away, without a report, and goes on when it is back, with QoS %i', async (qos) => {
    const broker = await serve();
    const proxy = await FaultProxy.listen(() => broker.ports[0]);
    clean.push(() => proxy.close());
    const options = { url: `mqtt://127.0.0.1:${proxy.port}`, qos };
    await rests(brew(options), brew(options), () => proxy.connections);
  });

  it.skipIf(skip).each([['tcp', 0], ['tcp', 1], ['ws', 0]] as const)('gives up a silent broker over %s with QoS %i soon after the page has woken up', async (way, qos) => {
    const broker = await serve();
    const proxy = await FaultProxy.listen(() => broker.ports[way === 'tcp' ? 0 : 1]);
    clean.push(() => proxy.close());
    const far = `${way === 'tcp' ? 'mqtt' : 'ws'}://127.0.0.1:${proxy.port}`;
    await isChecked(brew({ url: far, alternatives: [broker[way]], qos }), brew({ url: broker[way], qos }), proxy);
  });

  it.skipIf(skip)('reports refused credentials, does not dial again, and rejects brew()', async () => {
    const broker = await serve({ login: true });
    const proxy = await FaultProxy.listen(() => broker.ports[0]);
    clean.push(() => proxy.close());
    const wrong = brew({ url: `mqtt://127.0.0.1:${proxy.port}`, username: 'me', password: 'wrong' });
    await isRefused(wrong, brew({}), /^The MQTT broker at mqtt:\/\/127\.0\.0\.1:\d+ refuses this client \(.*\): check the brew's username and password\.$/);
    const right = brew({ url: broker.tcp.replace('//', '//me:right@') });
    await isLetIn(right, brew({ url: broker.tcp, username: 'me', password: 'right' }));
    const port = await freePort();
    await isDialledOn(brew({ url: `mqtt://127.0.0.1:${port}` }), port, clean);
    expect(proxy.dials).toHaveLength(2); // one for the brewer and one for the patron
  });

  it.skipIf(skip)('reports refused credentials also after it has reported that the connection was lost', async () => {
    const broker = await serve();
    const reader = brew({ url: broker.tcp, username: 'me', password: 'wrong' });
    await isRefusedLater(brew({ url: broker.tcp }), reader, broker, () => serve({ tcp: broker.ports[0], login: true }));
  });

  it.skipIf(skip)('recognises its own broker when the address is written in another way, and sends it the credentials', async () => {
    const broker = await serve({ login: true });
    const writer = brew({ url: broker.tcp.replace('mqtt://127.0.0.1', 'tcp://LOCALHOST'), username: 'me', password: 'right' });
    await isLetIn(writer, brew({ url: broker.tcp.replace('127.0.0.1', 'localhost'), username: 'me', password: 'right' }));
  });

  it.skipIf(skip)('connects to the first address of a brewer that answers, with WebSocket addresses last', async () => {
    const broker = await serve();
    const writer = brew({ url: broker.tcp, alternatives: [broker.ws] });
    const nobody = `mqtt://127.0.0.1:${await freePort()}`;
    for (const addresses of [{ tcp: [nobody, broker.tcp] }, { tcp: [nobody] }]) {
      const reader = brew({});
      const { brewerId, details, say, end } = await pair(writer.brew, brew({ url: broker.tcp }).brew);
      const { receive, next } = receiver();
      reader.brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details: { ...details, ...addresses }, receive });
      void say('one');
      expect(await next()).toBe('one');
      expect(reader.errors).toEqual([]);
      end();
    }
  });

  it.skipIf(skip)('does not send its credentials to another broker that a brewer names', async () => {
    const broker = await serve({ login: true });
    const writer = brew({ url: broker.tcp, username: 'me', password: 'right' });
    const other = await serve();
    const reader = brew({ url: other.tcp, username: 'me', password: 'right' });
    await pair(writer.brew, reader.brew);
    await reader.error('UNAUTHORIZED');
  });

  it.skipIf(skip)('sets TCP_NODELAY, so that no message waits for the acknowledgement of the previous one', async () => {
    const broker = await serve();
    const box = await pair(brew({ url: broker.tcp }).brew, brew({ url: broker.tcp }).brew);
    await box.say('x');
    await box.next();
    const begun = performance.now();
    const text = 'x'.repeat(1024);
    for (let i = 0; i < 50; i++) {
      void box.say(text);
      await box.next();
    }
    // Without TCP_NODELAY, and with delayed acknowledgements, each message takes 12 to 40 ms.
    expect((performance.now() - begun) / 50).toBeLessThan(8);
  });

  it.skipIf(skip)('makes brew() wait when the broker reads too slowly, and throw BUFFER_FULL when more than 16 MiB wait', async () => {
    const broker = await serve();
    await fillsUp(brew({ url: broker.tcp }), brew({ url: broker.tcp }));
  });
});

describe('MqttBrew', () => {
  it.skipIf(!program)('needs no more grants than docs/brews.md names', async () => {
    const topic = `pubkeeper/${TOPIC.replace('.', '/')}/+`;
    const made = files({ passwords: '' });
    clean.push(made.remove);
    for (const name of ['brewer', 'patron']) spawnSync('mosquitto_passwd', ['-b', made.path('passwords'), name, 'right']);
    const acl = [
      ...['user brewer', `topic write ${topic}`, `topic write ${topic}/to/+`, `topic read ${topic}/join`],
      ...['user patron', `topic read ${topic}`, `topic read ${topic}/to/+`, `topic write ${topic}/join`],
    ];
    const broker = await mosquitto(program!, { passwords: readFileSync(made.path('passwords'), 'utf8'), acl: acl.join('\n') + '\n' });
    clean.push(broker.kill);
    const patron = { url: broker.tcp, username: 'patron', password: 'right' };
    await givesMissed(brew({ url: broker.tcp, username: 'brewer', password: 'right' }), brew(patron), brew(patron));
  });

  it('reports a topic that the broker does not let it read, and reads the others', async () => {
    const broker = await aedes({ mayRead: (topic) => !topic.includes('/secret/') });
    clean.push(broker.kill);
    const [writer, reader] = [brew({ url: broker.tcp }), brew({ url: broker.tcp })];
    await pair(writer.brew, reader.brew, newId(), 'demo.secret');
    const error = await reader.error('FORBIDDEN');
    expect(error.message).toMatch(/^The MQTT broker does not let this client read pubkeeper\/demo\/secret\/.*: grant it that topic and those below it\.$/);
    const open = await pair(writer.brew, reader.brew);
    void open.say('open');
    expect(await open.next()).toBe('open');
  });

  it.skipIf(!program)('gives up a message over which the broker ends the connection three times, and sends the next one', async () => {
    const broker = await mosquitto(program!, { maxPacket: 10_000 });
    clean.push(broker.kill);
    const [writer, reader] = [brew({ url: broker.tcp, qos: 1 }), brew({ url: broker.tcp, qos: 1 })];
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    const long = rejected(Promise.resolve(box.say('x'.repeat(20_000))), 'BREW_FAILED');
    const next = box.say('two');
    expect((await long).message).toMatch(/ended the connection 3 times over a message of 20088 bytes, which is given up: brew shorter ones/);
    await next;
    expect(await box.take(2)).toEqual(['one', 'two']);
  });

  it.skipIf(!program)('says what to do when the broker ends the connection over a message that it says nothing about', async () => {
    const broker = await mosquitto(program!, { maxPacket: 10_000 });
    clean.push(broker.kill);
    const writer = brew({ url: broker.tcp });
    const box = await pair(writer.brew, brew({ url: broker.tcp }).brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    await box.say('x'.repeat(20_000));
    void box.say('y'.repeat(5000));
    const { message, details } = await writer.error('CONNECTION_LOST');
    expect(message).toMatch(/was lost right after a message of 20088 bytes: if that happens with each such message, brew shorter ones, or raise the broker's limit, such as max_packet_size\.$/);
    expect(details).toMatchObject({ length: 20_088 });
    writer.errors.length = 0;
    await box.say('two');
    while ((await box.next()) !== 'two');
    await broker.kill();
    // Nothing long was sent.
    expect((await writer.error('CONNECTION_LOST')).message).toMatch(/ was lost\.$/);
  });

  it.skipIf(!program)('carries frames at the longest addresses that it does not refuse', async () => {
    const broker = await mosquitto(program!);
    clean.push(broker.kill);
    for (const prefix of ['p/'.repeat(186) + 'p', 'p'.repeat(3900 - '/demo/one/'.length - 32)]) {
      const [writer, reader] = [brew({ url: broker.tcp, prefix }), brew({ url: broker.tcp })];
      await carriesInOrder(writer, reader);
    }
  });

  it.skipIf(!program)('answers a patron that starts late in parts that the broker accepts', async () => {
    const broker = await mosquitto(program!, { maxPacket: 64 * 1024 });
    clean.push(broker.kill);
    await answersInParts(brew({ url: broker.tcp }), brew({ url: broker.tcp }), brew({ url: broker.tcp }));
  });

  it('sends messages again that a silent broker did not confirm, when the broker can be reached again', async () => {
    const broker = await aedes();
    const proxy = await FaultProxy.listen(() => broker.ports[0]);
    clean.push(broker.kill, () => proxy.close());
    const writer = brew({ url: `mqtt://127.0.0.1:${proxy.port}`, alternatives: [broker.tcp], qos: 1 });
    const reader = brew({ url: broker.tcp, qos: 1 });
    const box = await pair(writer.brew, reader.brew);
    await box.say('before');
    proxy.blackhole('both');
    // A subscription that the silent broker does not confirm must not be reported as refused.
    writer.brew.brewerDetails({ topic: 'demo.other', brewerId: newId() });
    const texts = ['one', 'two', 'three'];
    await Promise.all(texts.map((text) => box.say(text)));
    expect(await box.take(4)).toEqual(['before', ...texts]);
    expect(writer.errors.map(({ code }) => code)).toEqual(['CONNECTION_LOST']);
  }, 40_000);

  it.skipIf(!Object.values(networkInterfaces()).flat().some((at) => at?.address === '::1')).each(['tcp', 'ws'] as const)('connects to an IPv6 address over %s', async (way) => {
    const broker = await aedes();
    const server = createServer((near) => {
      const far = connect(broker.ports[way === 'tcp' ? 0 : 1], '127.0.0.1');
      for (const socket of [near, far]) socket.on('error', () => undefined).on('close', () => (near.destroy(), far.destroy()));
      near.pipe(far).pipe(near);
    }).listen(0, '::1');
    await once(server, 'listening');
    clean.push(broker.kill, () => server.close());
    const both = brew({ url: `${way === 'tcp' ? 'mqtt' : 'ws'}://[::1]:${(server.address() as AddressInfo).port}` });
    const box = await pair(both.brew, both.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    expect(both.errors).toEqual([]);
  });

  it('ends a dial when the page is put away, and dials again when it is back', async () => {
    await restsWhileDialling((port) => brew({ url: `mqtt://127.0.0.1:${port}` }), true, clean);
  });

  it.skipIf(!program)('has at most 8,192 unconfirmed messages with QoS 1, and sends the others in order as the broker confirms', async () => {
    const broker = await mosquitto(program!);
    const proxy = await FaultProxy.listen(() => broker.ports[0]);
    clean.push(broker.kill, () => proxy.close());
    // What the writer sends, up to its SUBSCRIBE for another brewer.
    const marker = newId();
    const sent: Buffer[] = [];
    const marked = new Promise<void>((resolve) => {
      proxy.sent = (bytes) => void (sent.push(bytes) && Buffer.concat(sent.slice(-2)).includes(marker) && resolve());
    });
    const writer = brew({ url: `mqtt://127.0.0.1:${proxy.port}`, alternatives: [broker.tcp], qos: 1, lastValue: false });
    const box = await pair(writer.brew, brew({ url: broker.tcp }).brew);
    await box.say('first');
    expect(await box.next()).toBe('first');
    const confirm = proxy.hold(() => true);
    const numbers = Array.from({ length: 10_000 }, (_, i) => `held back ${i}`);
    const accepted = Promise.all(numbers.map((number) => box.say(number)));
    expect(await box.take(8192)).toEqual(numbers.slice(0, 8192));
    writer.brew.brewerDetails({ topic: TOPIC, brewerId: marker });
    await marked;
    const data = packets(Buffer.concat(sent)).filter(({ type, body }) => type === PUBLISH && body.includes('held back '));
    expect(data).toHaveLength(8192);
    confirm();
    expect(await box.take(10_000 - 8192)).toEqual(numbers.slice(8192));
    await accepted;
  });

  it('brew() rejects for a message that a broker has not confirmed when the brew is closed', async () => {
    const broker = await aedes();
    const proxy = await FaultProxy.listen(() => broker.ports[0]);
    clean.push(broker.kill, () => proxy.close());
    const writer = brew({ url: `mqtt://127.0.0.1:${proxy.port}`, alternatives: [broker.tcp], qos: 1 });
    const box = await pair(writer.brew, brew({ url: broker.tcp, qos: 1 }).brew);
    await box.say('before');
    expect(await box.next()).toBe('before');
    proxy.blackhole('both');
    const unconfirmed = rejected(Promise.resolve(box.say('unconfirmed')), 'CONNECTION_LOST');
    await writer.brew.close();
    await unconfirmed;
  });

  it('close() drops the connection to a broker that has stopped answering', async () => {
    const silent = createServer((socket) => socket.once('data', () => socket.write(Uint8Array.of(0x20, 2, 0, 0)))); // CONNACK
    silent.listen(0, '127.0.0.1');
    clean.push(() => silent.close());
    await once(silent, 'listening');
    const writer = brew({ url: `mqtt://127.0.0.1:${(silent.address() as AddressInfo).port}`, qos: 1 });
    writer.brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    const [socket] = (await once(silent, 'connection')) as [Socket];
    socket.on('error', () => undefined);
    await once(socket, 'data'); // CONNECT
    await once(socket, 'data'); // SUBSCRIBE
    const gone = once(socket, 'close');
    const begun = performance.now();
    await writer.brew.close();
    await gone;
    // Otherwise the process could end only after the keepalive of 15 s.
    expect(performance.now() - begun).toBeLessThan(5000);
  });

  const behindTls = async (made: ReturnType<typeof certificate>): Promise<string> => {
    const server = createTlsServer({ cert: readFileSync(made.cert), key: readFileSync(made.key) }).listen(0, '127.0.0.1');
    clean.push(made.remove, () => server.close());
    await once(server, 'listening');
    const rig = brew({ url: `mqtts://127.0.0.1:${(server.address() as AddressInfo).port}` });
    rig.brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    return (await rig.error('CONNECT_FAILED')).message;
  };

  it('tells how to name the authority when a certificate has an unknown one', async () => {
    // From version 24 on, Node adds its own advice.
    expect(await behindTls(certificate())).toMatch(/^Cannot connect to the MQTT broker at mqtts:\S+ \([^)]*certificate(; if the root CA [^):]*)?\): where its certificate .* start Node with NODE_EXTRA_CA_CERTS=<file in PEM>\.$/);
  });

  it('tells to renew a certificate that has expired, and nothing of authorities', async () => {
    expect(await behindTls(certificate('127.0.0.1', true))).toMatch(/^Cannot connect to the MQTT broker at mqtts:\S+ \(certificate has expired\): renew its certificate, or set the clock of this machine right\.$/);
  });

  it('reports once that there is no broker at an address, and continues to dial', async () => {
    const port = await freePort();
    const rig = brew({ url: `mqtt://127.0.0.1:${port}` });
    const error = await isDialledOn(rig, port, clean);
    expect(error.message).toMatch(/^Cannot connect to the MQTT broker at mqtt:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\): check that it runs there, and that the address begins with what it speaks at that port\.$/);
  });

  it.each([
    [{ url: 'http://x' }],
    [{ url: 'mqtt://' }],
    [{ url: 'wss://a/mqtt?token=1' }],
    [{ url: 'mqtt://a', prefix: 'a/#' }],
    [{ url: 'mqtt://a', qos: 2 as never }],
    [{ url: 'mqtt://a', alternatives: ['b'] }],
    [{ url: 'mqtt://a', name: '' }],
    [{ url: 'mqtt://a', lastValue: 'no' as never }],
    [{ urls: 'mqtt://a' } as never],
    [{ url: 'mqtt://a', token: 'x' } as never],
    [{ url: 'mqtt://a', password: 'x' }],
  ])('refuses the options %j', (options) => {
    thrown(() => new MqttBrew(options), 'OPTION_INVALID');
  });

  it('tells where an address belongs that is given in place of the options, and does not show it', () => {
    const { message, details } = thrown(() => new MqttBrew('mqtt://me:secret@a' as never), 'OPTION_INVALID');
    expect([message, details]).toEqual(['MqttBrew: the options must be an object, in which an address is the url.', {}]);
  });

  it('names the option that is not a list, and shows no password', () => {
    const { message } = thrown(() => new MqttBrew({ url: 'mqtt://me:secret@a', alternatives: 'ws://me:secret@a' as never }), 'OPTION_INVALID');
    expect(message).toBe('MqttBrew: alternatives must be a list of addresses.');
  });

  it.each(['#', '+/x', 'a\0b', 'a/'.repeat(189) + 'a', ''])('refuses to read the topic %j', (topic) => {
    const { brew: reader } = brew({ url: 'mqtt://127.0.0.1:1' });
    const brewerId = newId();
    const details = { name: 'mqtt', topic: `${topic}/${brewerId}` };
    const start = () => reader.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: () => undefined });
    if (topic) thrown(start, 'BREW_CONFIG_INVALID');
    else clean.push(start());
  });

  it('refuses a second client, and refuses to start a brewer without a broker', () => {
    const { brew: guest, host } = brew({});
    thrown(() => guest.attach(host), 'BREW_IN_USE');
    const start = () => guest.startBrewer({ topic: TOPIC, brewerId: newId(), patronId: newId(), details: { name: 'mqtt' } });
    thrown(start, 'BREW_CONFIG_INVALID');
    expect(guest.brew(newId(), rawFrame(TOPIC, newId(), 'x'))).toBeUndefined();
  });
});
