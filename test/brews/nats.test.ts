import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { queryObjects } from 'node:v8';
import { NatsConnectionImpl } from '@nats-io/nats-core/internal';
import { connect as connectNats } from '@nats-io/transport-node';
import { describe, expect, it, vi } from 'vitest';
import { NatsBrew, type NatsBrewOptions } from '../../src/brews/nats.js';
import { newId, PubkeeperError } from '../../src/core/index.js';
import { FaultProxy } from '../faults/proxy.js';
import { freePort } from '../free-port.js';
import { rawFrame, rejected, thrown } from '../helpers.js';
import { answersInParts, brewing, carriesInOrder, carriesMany, cleaning, comesBack, comesBackLater, farAway, fillsUp, givesMissed, isChecked, isDialledOn, isLetIn, isRefused, isRefusedLater, keepsLast, keepsNothing, rests, restsWhileDialling } from './broker-kit.js';
import { certificate, findProgram, nats, type NatsOptions } from './processes.js';
import { pair, TOPIC } from './rig.js';

const program = findProgram('nats-server');

const clean = cleaning();
const brew = brewing(clean, (options: NatsBrewOptions) => new NatsBrew(options));

async function serve(options?: NatsOptions) {
  const server = await nats(program!, options);
  clean.push(() => server.kill());
  return server;
}

describe.skipIf(!program)('NatsBrew and nats-server', () => {
  it.each(['tcp', 'ws'] as const)('delivers frames in order over %s, also those brewed before the patron had subscribed', async (way) => {
    const server = await serve();
    await carriesInOrder(brew({ url: server[way] }), brew({ url: server[way] }));
  });

  it('asks at most three times for each of hundreds of pairs that begin at once, with few pings', async () => {
    const server = await serve();
    const far = await farAway(clean, server.ports[0]);
    const url = `nats://127.0.0.1:${far.port}`;
    const count = await carriesMany(brew({ url }), brew({ url }));
    const sent = far.sent();
    expect(sent.match(/^SUB /gm)).toHaveLength(3 * count);
    // One ping at the start of each connection, and one for all subscriptions of a tick.
    expect(sent.match(/^PING\r/gm)!.length).toBeLessThan(20);
    // One question, and perhaps two more, as an answer takes twice as long as a reply of the server.
    expect(sent.match(/^PUB \S+\.join 32\r/gm)!.length).toBeLessThanOrEqual(3 * count);
  });

  it('carries frames between clients on TCP and on WebSocket, in both directions', async () => {
    const server = await serve();
    const tcp = brew({ url: server.tcp, alternatives: [server.ws] });
    const ws = brew({ url: server.ws });
    const [one, two] = [await pair(tcp.brew, ws.brew), await pair(ws.brew, tcp.brew)];
    await Promise.all([one.say('one'), two.say('two')]);
    expect([await one.next(), await two.next()]).toEqual(['one', 'two']);
  });

  it('delivers the last value to a new patron, also to one of a client that has no server of its own', async () => {
    const server = await serve();
    await keepsLast(brew({ url: server.tcp }), brew({ url: server.tcp }), brew({}));
  });

  it('lets two patrons of one client share a subscription, and stop independently', async () => {
    const server = await serve();
    const writer = brew({ url: server.tcp });
    const reader = brew({ url: server.tcp });
    const one = await pair(writer.brew, reader.brew);
    await one.say('first');
    expect(await one.next()).toBe('first');
    const two = await pair(writer.brew, reader.brew, one.brewerId);
    expect(await two.next()).toBe('first');
    one.stop();
    await two.say('second');
    expect(await two.next()).toBe('second');
    expect(one.all).toHaveLength(1);
  });

  it('keeps no last value when lastValue is false, not even for a second patron of one client', async () => {
    const server = await serve();
    const reader = brew({ url: server.tcp });
    const writer = brew({ url: server.tcp, lastValue: false });
    const one = await pair(writer.brew, reader.brew);
    await one.say('first');
    expect(await one.next()).toBe('first');
    await keepsNothing(writer, reader, one.brewerId);
  });

  it('delivers once to each patron that moves from another brew the messages that it missed, whichever end is told first', async () => {
    const server = await serve();
    await givesMissed(brew({ url: server.tcp }), brew({ url: server.tcp }), brew({}));
  });

  it('connects again when the server is back, reports its state, and sends then what was brewed meanwhile', async () => {
    const server = await serve();
    // The patron is back first: until then the brewer's proxy leads to a silent server.
    const silent = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    let isSilent = false;
    const proxy = await FaultProxy.listen(() => (isSilent ? (silent.address() as AddressInfo).port : server.ports[0]));
    clean.push(() => silent.close(), () => proxy.close());
    const writer = brew({ url: `nats://127.0.0.1:${proxy.port}`, alternatives: [server.tcp] });
    const reader = brew({ url: server.tcp });
    const kill = async (): Promise<void> => {
      isSilent = true;
      await server.kill();
    };
    const box = await comesBack('nats', writer, reader, { kill }, async () => {
      await serve({ tcp: server.ports[0] });
      await reader.state(true);
      isSilent = false;
      proxy.reset();
    });
    await box.say('after');
    expect(await box.take(2)).toEqual(['meanwhile', 'after']);
    expect(writer.errors.map(({ code }) => code)).toEqual(['CONNECTION_LOST']);
  });

  it('gives a patron that is back later than its brewer what was brewed while the server was away', async () => {
    const server = await serve();
    const proxy = await FaultProxy.listen(() => server.ports[0]);
    clean.push(() => proxy.close());
    const writer = brew({ url: server.tcp, alternatives: [`nats://127.0.0.1:${proxy.port}`] });
    const reader = brew({ url: `nats://127.0.0.1:${proxy.port}` });
    await comesBackLater(writer, reader, proxy, server, () => serve({ tcp: server.ports[0] }));
  });

  it('closes its connections while the page is put away, without a report, and goes on when it is back', async () => {
    const server = await serve();
    const proxy = await FaultProxy.listen(() => server.ports[0]);
    clean.push(() => proxy.close());
    const options = { url: `nats://127.0.0.1:${proxy.port}` };
    await rests(brew(options), brew(options), () => proxy.connections);
  });

  it.each(['tcp', 'ws'] as const)('gives up a silent server over %s soon after the page has woken up', async (way) => {
    const server = await serve();
    const proxy = await FaultProxy.listen(() => server.ports[way === 'tcp' ? 0 : 1]);
    clean.push(() => proxy.close());
    const far = `${way === 'tcp' ? 'nats' : 'ws'}://127.0.0.1:${proxy.port}`;
    await isChecked(brew({ url: far, alternatives: [server[way]] }), brew({ url: server[way] }), proxy);
  });

  it('dials again when the page is back that was put away during a dial', async () => {
    await restsWhileDialling((port) => brew({ url: `nats://127.0.0.1:${port}` }), false, clean);
  });

  it('a patron to which more than 16 MiB come before its question has arrived tells the brewer that it has come', async () => {
    const server = await serve();
    const proxy = await FaultProxy.listen(() => server.ports[0]);
    clean.push(() => proxy.close());
    const far = `nats://127.0.0.1:${proxy.port}`;
    const [writer, other, late] = [brew({ url: server.tcp, alternatives: [far] }), brew({ url: server.tcp }), brew({ url: far })];
    const box = await pair(writer.brew, other.brew);
    await box.say('first');
    expect(await box.next()).toBe('first');
    // What the late patron's client sends after its subscriptions waits in the proxy.
    let sent = '';
    const isHeld = new Promise<void>((resolve) => {
      proxy.sent = (bytes) => {
        const before = sent;
        sent += bytes.toString('latin1');
        if (/SUB \S+ \d+\r\n[^]*PING/.test(sent) && !/SUB \S+ \d+\r\n[^]*PING/.test(before)) resolve(void proxy.hold(() => true, 'up'));
      };
    });
    const joined = await pair(writer.brew, late.brew, box.brewerId);
    await isHeld;
    const text = 'x'.repeat(900 * 1024);
    for (let i = 0; i < 20; i++) {
      await box.say(text);
      await box.next();
    }
    // The patron goes on with what it has, and then with what it gets.
    await joined.take(20);
    proxy.letGo();
    await expect.poll(() => sent, { timeout: 10_000 }).toContain(`${joined.patronId}+`);
    await box.say('last');
    expect(await joined.next()).toBe('last');
    expect([writer, late].flatMap(({ errors }) => errors)).toEqual([]);
  });

  it('keeps no connection in memory that has ended', async () => {
    const server = await serve();
    for (let i = 0; i < 5; i++) {
      const { brew: both } = brew({ url: server.tcp });
      const box = await pair(both, both);
      await box.say('one');
      expect(await box.next()).toBe('one');
      await both.close();
    }
    // The last connection may be held by a timer for a moment.
    await expect.poll(() => queryObjects(NatsConnectionImpl, { format: 'count' }), { timeout: 20_000 }).toBeLessThan(2);
  });

  it('leaves no timer that would keep the process alive when it is closed', async () => {
    const server = await serve();
    const { brew: both } = brew({ url: server.tcp });
    const box = await pair(both, both);
    await box.say('one');
    expect(await box.next()).toBe('one');
    const [begun, ended] = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'clearTimeout')];
    clean.push(() => [begun, ended].forEach((spy) => spy.mockRestore()));
    await both.close();
    const timers = begun.mock.results.map(({ value }) => value as NodeJS.Timeout);
    const over = ended.mock.calls.map(([timer]) => timer as NodeJS.Timeout);
    expect(timers.length).toBeGreaterThan(0);
    expect(timers.filter((timer) => timer.hasRef() && !over.includes(timer))).toEqual([]);
  });

  it('continues in a cluster of three when the server that both ends use dies', async () => {
    const [a, b, c] = [await freePort(), await freePort(), await freePort()];
    const routes = [a, b, c];
    const first = await serve({ cluster: { port: a, routes } });
    await serve({ cluster: { port: b, routes } });
    await serve({ cluster: { port: c, routes } });
    // Both clients are given only one server; it tells them of the others.
    const writer = brew({ url: first.tcp });
    const reader = brew({ url: first.tcp });
    const box = await pair(writer.brew, reader.brew);
    await box.say('before');
    expect(await box.next()).toBe('before');
    await first.kill();
    await writer.error('CONNECTION_LOST');
    await reader.error('CONNECTION_LOST');
    // The message reaches a patron that has subscribed again, as the last value at the latest.
    await box.say('after');
    for (;;) if ((await box.next()) === 'after') break;
    const late = await pair(writer.brew, reader.brew, box.brewerId);
    await late.say('and on');
    for (;;) if ((await late.next()) === 'and on') break;
    expect([...writer.errors, ...reader.errors].every(({ code }) => code === 'CONNECTION_LOST')).toBe(true);
  }, 20_000);

  it('continues at a server that joined the cluster later when the only earlier server dies', async () => {
    const [a, b] = [await freePort(), await freePort()];
    const routes = [a, b];
    const first = await serve({ cluster: { port: a, routes } });
    const [writer, reader] = [brew({ url: first.tcp }), brew({ url: first.tcp })];
    const box = await pair(writer.brew, reader.brew);
    await box.say('before');
    expect(await box.next()).toBe('before');
    const watcher = await connectNats({ servers: first.tcp, reconnect: false });
    clean.push(() => watcher.close());
    const told = (async () => {
      for await (const { type } of watcher.status()) if (type === 'update') return;
    })();
    await serve({ cluster: { port: b, routes } });
    await told; // all clients are told: they have read the update before any later message on the same connection
    await box.say('told');
    expect(await box.next()).toBe('told');
    await first.kill();
    await Promise.all([writer.error('CONNECTION_LOST'), reader.error('CONNECTION_LOST')]);
    await box.say('after');
    for (;;) if ((await box.next()) === 'after') break;
  }, 20_000);

  it('registers a brewer without this brew if its topic would end the connection, and serves the others', async () => {
    const server = await serve();
    const writer = brew({ url: server.tcp });
    const box = await pair(writer.brew, brew({ url: server.tcp }).brew);
    expect(await writer.brew.brewerDetails({ topic: 'x'.repeat(4096), brewerId: newId() })).toBeUndefined();
    expect(writer.errors.map(({ code, message }) => [code, message])).toEqual([['BREW_FAILED', expect.stringContaining('Brew to a shorter topic')]]);
    await box.say('one');
    expect(await box.next()).toBe('one');
    expect(writer.errors).toHaveLength(1);
  });

  it('reports refused credentials, does not dial again, and rejects brew()', async () => {
    const server = await serve({ user: { name: 'me', password: 'right' } });
    const proxy = await FaultProxy.listen(() => server.ports[0]);
    clean.push(() => proxy.close());
    const wrong = brew({ url: `nats://127.0.0.1:${proxy.port}`, username: 'me', password: 'wrong' });
    await isRefused(wrong, brew({}), /^NATS at nats:\/\/127\.0\.0\.1:\d+ refuses this client .*: check the brew's username, password or token\.$/);
    const right = brew({ url: server.tcp.replace('//', '//me:right@') });
    await isLetIn(right, brew({ url: server.tcp, username: 'me', password: 'right' }));
    const port = await freePort();
    await isDialledOn(brew({ url: `nats://127.0.0.1:${port}` }), port, clean);
    expect(proxy.dials).toHaveLength(2); // one for the brewer and one for the patron
  });

  it.each(['tcp', 'ws'] as const)('says over %s what to do when the server has too many connections, and connects when there is room', async (way) => {
    const server = await serve({ maxConnections: 1 });
    const [first, second] = [brew({ url: server[way] }), brew({ url: server[way] })];
    const box = await pair(first.brew, first.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    const { brewerId } = await pair(second.brew, second.brew);
    const { message } = await second.error('CONNECT_FAILED');
    expect(message).toMatch(/^Cannot connect to NATS at \S+ \(maximum connections exceeded\): close other connections to it, or raise its limit, such as max_connections\.$/);
    await first.brew.close();
    await second.brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'two'));
    await second.state(true);
    expect(second.errors).toHaveLength(1);
  });

  it('reports refused credentials also after it has reported that the connection was lost', async () => {
    const server = await serve();
    const reader = brew({ url: server.tcp, username: 'me', password: 'wrong' });
    const restart = () => serve({ tcp: server.ports[0], user: { name: 'me', password: 'right' } });
    await isRefusedLater(brew({ url: server.tcp }), reader, server, restart);
  });

  it('dials again when its credentials came too late', async () => {
    const server = await serve({ user: { name: 'me', password: 'right', timeout: 0.2 } });
    const isFirst = [true];
    const slow = createServer((client) => {
      const there = connect(server.ports[0], '127.0.0.1');
      there.pipe(client);
      // What the client sends on the first connection never arrives.
      if (!isFirst.pop()) client.pipe(there);
      for (const socket of [client, there]) socket.on('error', () => undefined).on('close', () => (client.destroy(), there.destroy()));
    });
    slow.listen(0, '127.0.0.1');
    await once(slow, 'listening');
    clean.push(() => slow.close());
    const login = { username: 'me', password: 'right' };
    const writer = brew({ url: `nats://127.0.0.1:${(slow.address() as AddressInfo).port}`, alternatives: [server.tcp], ...login });
    const box = await pair(writer.brew, brew({ url: server.tcp, ...login }).brew);
    await writer.error('CONNECT_FAILED');
    await box.say('in time');
    expect(await box.next()).toBe('in time');
  });

  it('reports a subject that the server refuses once, however much is brewed, and serves the others', async () => {
    const server = await serve({ user: { name: 'me', password: 'right', publish: '*.demo.open.>' } });
    const may = { url: server.tcp, username: 'me', password: 'right' };
    const writer = brew(may);
    const pairOf = (topic: string) => pair(writer.brew, brew(may).brew, newId(), topic);
    // A topic may hold the words by which credentials that are refused are known.
    const [one, two, open] = [await pairOf('demo.one'), await pairOf('demo.authentication'), await pairOf('demo.open')];
    for (let i = 0; i < 100; i++) void one.say(String(i));
    void two.say('later');
    const of = ({ brewerId }: { brewerId: string }) => writer.errors.filter(({ message }) => message.includes(`.${brewerId}"`));
    await writer.until(() => of(two).length > 0);
    expect(of(one).map(({ code }) => code)).toEqual(['FORBIDDEN']);
    void open.say('this one');
    expect(await open.next()).toBe('this one');
  });

  it('says what to do when the server takes no more subscriptions, and serves those that it has', async () => {
    const server = await serve({ maxSubscriptions: 2 });
    const [writer, reader] = [brew({ url: server.tcp }), brew({ url: server.tcp })];
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    await pair(writer.brew, reader.brew);
    const { message } = await reader.error('BREW_FAILED');
    expect(message).toMatch(/^NATS says maximum subscriptions exceeded: raise its max_subscriptions \(a brewer needs one, a match two\), or divide them among several clients\.$/);
    await box.say('two');
    expect(await box.next()).toBe('two');
  });

  it('reports credentials that are revoked while it is connected as refused, with the connection that is lost by that', async () => {
    const server = await serve({ user: { name: 'me', password: 'right' } });
    const rig = brew({ url: server.tcp, username: 'me', password: 'right' });
    const box = await pair(rig.brew, rig.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    server.reload((config) => config.replace('right', 'other'));
    await rig.error('UNAUTHORIZED');
    expect(rig.errors.map(({ code }) => code)).toEqual(['CONNECTION_LOST', 'UNAUTHORIZED']);
  });

  it('carries frames at the longest addresses that it does not refuse', async () => {
    const server = await serve();
    await carriesInOrder(brew({ url: server.tcp, prefix: 'p'.repeat(3900 - '.demo.one.'.length - 32) }), brew({ url: server.tcp }));
  });

  it.each([64, 30])('answers a patron that starts late in parts that the server accepts, of %i KiB', async (most) => {
    const server = await serve({ maxPayload: most * 1024 });
    await answersInParts(brew({ url: server.tcp }), brew({ url: server.tcp }), brew({ url: server.tcp }));
  });

  it('rejects a message that is longer than the server accepts, and sends the next one', async () => {
    const server = await serve();
    const box = await pair(brew({ url: server.tcp }).brew, brew({ url: server.tcp }).brew);
    await box.say('one');
    const error = await rejected(Promise.resolve().then(() => box.say('x'.repeat(1024 * 1024))), 'BREW_FAILED');
    expect(error.message).toMatch(/takes messages of up to 1048576 bytes, and this one has 1048664: brew shorter ones, or raise its max_payload\.$/);
    await box.say('two');
    expect(await box.take(2)).toEqual(['one', 'two']);
  });

  it.each(['tcp', 'ws'] as const)('gives up a silent server over %s within 25 s, and continues over a new connection', async (way) => {
    const server = await serve();
    const proxy = await FaultProxy.listen(() => server.ports[way === 'tcp' ? 0 : 1]);
    clean.push(() => proxy.close());
    const writer = brew({ url: `${way === 'tcp' ? 'nats' : 'ws'}://127.0.0.1:${proxy.port}`, alternatives: [server[way]] });
    const reader = brew({ url: server[way] });
    const box = await pair(writer.brew, reader.brew);
    await box.say('before');
    expect(await box.next()).toBe('before');
    proxy.blackhole('both');
    const begun = performance.now();
    await writer.error('CONNECTION_LOST');
    expect(performance.now() - begun).toBeLessThan(25_000);
    await box.say('after');
    expect(await box.next()).toBe('after');
  }, 60_000);

  it.each(['tcp', 'ws'] as const)('close() drops the connection over %s to a server that has stopped answering', async (way) => {
    const server = await serve();
    const writer = brew({ url: server[way] });
    const box = await pair(writer.brew, brew({ url: server[way] }).brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    server.child.kill('SIGSTOP');
    const begun = performance.now();
    await writer.brew.close();
    expect(performance.now() - begun).toBeLessThan(5000);
  }, 60_000);

  it('tells how to name the authority when a certificate has an unknown one', async () => {
    const files = certificate();
    clean.push(files.remove);
    const server = await serve({ tls: files });
    const rig = brew({ url: server.tcp.replace('nats:', 'tls:') });
    rig.brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    const { message } = await rig.error('CONNECT_FAILED');
    // From version 24 on, Node adds its own advice.
    expect(message).toMatch(/^Cannot connect to NATS at tls:\S+ \([^)]*certificate(; if the root CA [^):]*)?\): where its certificate .* start Node with NODE_EXTRA_CA_CERTS=<file in PEM>\.$/);
  });

  it('makes brew() wait when the server reads too slowly, and throw BUFFER_FULL when more than 16 MiB wait', async () => {
    const server = await serve();
    await fillsUp(brew({ url: server.tcp }), brew({ url: server.tcp }));
  });
});

describe('NatsBrew', () => {
  it('reports once that there is no server at an address, and continues to dial', async () => {
    const port = await freePort();
    const rig = brew({ url: `nats://127.0.0.1:${port}` });
    const error = await isDialledOn(rig, port, clean);
    expect(error.message).toMatch(/^Cannot connect to NATS at nats:\/\/127\.0\.0\.1:\d+ \(.*\): check that it runs there, and that the address begins with what it speaks at that port\.$/);
  });

  it.each([
    [{ url: 'http://x' }],
    [{ url: 'nats://' }],
    [{ url: ['nats://a', 'ws://b'] }],
    [{ url: ['nats://a', 'tls://b'] }],
    [{ url: 'nats://a', prefix: 'a b' }],
    [{ url: 7 as never }],
    [{ url: 'nats://a', name: 7 as never }],
    [{ url: [] }],
    [{ servers: 'nats://a' } as never],
    [{ url: 'nats://a', qos: 1 } as never],
    [{ url: 'nats://a', password: 'x' }],
    [{ url: 'nats://:x@a' }],
  ])('refuses the options %j', (options) => {
    thrown(() => new NatsBrew(options), 'OPTION_INVALID');
  });

  it.each([['nats://a'], [7], [true], [['nats://a']]])('refuses %j in place of the options', (options) => {
    const { message } = thrown(() => new NatsBrew(options as never), 'OPTION_INVALID');
    expect(message).toBe('NatsBrew: the options must be an object, in which an address is the url.');
  });

  it('refuses a token that is not a string, and does not show it', () => {
    expect(thrown(() => new NatsBrew({ url: 'nats://a', token: 1234 as never }), 'OPTION_INVALID').message).toBe('NatsBrew: token must be a text.');
  });

  it.each([null, undefined, {}])('accepts %j as no options', (options) => {
    expect(new NatsBrew(options).name).toBe('nats');
  });

  it('accepts a password whose percent sign is not escaped', () => {
    expect(() => new NatsBrew({ url: 'nats://me:100%@a' })).not.toThrow();
  });

  it('shows no password of an address that it refuses', () => {
    const { message, details } = thrown(() => new NatsBrew({ url: 'http://me:secret@x' }), 'OPTION_INVALID');
    expect(JSON.stringify([message, details])).not.toContain('secret');
  });

  it.each([
    ['another address than the brewer\'s', { subject: `pubkeeper.${TOPIC}.${'0'.repeat(32)}` }],
    ['an address that is too long', (id: string) => ({ subject: `${'日'.repeat(1300)}.${id}` })],
    ['the address at which patrons of another brewer are answered', (id: string) => ({ subject: `pubkeeper.${TOPIC}.${'0'.repeat(32)}.to.${id}` })],
    ['wildcards', (id: string) => ({ subject: `pubkeeper.>.${id}` })],
    ['nothing', {}],
  ])('refuses details with %s', (_, details) => {
    const { brew: reader } = brew({ url: 'nats://127.0.0.1:1' });
    const brewerId = newId();
    const given = { name: 'nats', ...(typeof details === 'function' ? details(brewerId) : details) };
    const start = () => reader.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details: given, receive: () => undefined });
    thrown(start, 'BREW_CONFIG_INVALID');
  });

  it('refuses a brewer that names no server that can be reached when it has no server itself, and says what to do', () => {
    const { brew: reader } = brew({});
    const brewerId = newId();
    const details = { name: 'nats', subject: `pubkeeper.${TOPIC}.${brewerId}`, tcp: ['http://x'] };
    const start = () => reader.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: () => undefined });
    expect(thrown(start, 'BREW_CONFIG_INVALID').message).toMatch(/give this NatsBrew the url/);
  });

  it('refuses to start a brewer without a server', () => {
    const { brew: guest } = brew({});
    const start = () => guest.startBrewer({ topic: TOPIC, brewerId: newId(), patronId: newId(), details: { name: 'nats' } });
    expect(thrown(start, 'BREW_CONFIG_INVALID')).toBeInstanceOf(PubkeeperError);
    expect(guest.brew(newId(), rawFrame(TOPIC, newId(), 'x'))).toBeUndefined();
  });
});
