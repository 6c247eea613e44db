import WebSocket from 'ws';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { relayUrl, WebSocketBrew } from '../../src/brews/websocket.js';
import type { BrewHost } from '../../src/core/brew.js';
import type { WebSocketConstructor } from '../../src/core/connection.js';
import type { PubkeeperError } from '../../src/core/errors.js';
import { bytes, id, rawFrame, rejected, settle, thrown } from '../helpers.js';
import { MiniRelay } from '../mini-relay.js';
import { Network } from '../socket-pair.js';

vi.setConfig({ testTimeout: 30_000 });
const TOPIC = 'a.b';
const quick = { delayMs: 10, maxDelayMs: 30, stableMs: 1000, graceMs: 30_000, maxRetries: Infinity };
const frame = (text: string, brewer = 1, topic = TOPIC) => rawFrame(topic, id(brewer), text);

let relay: MiniRelay;
const clean: (() => unknown)[] = [];
beforeEach(async () => void (relay = await new MiniRelay().listen()));
afterEach(async () => {
  for (const run of clean.splice(0)) await run();
  await relay.close();
});

function attached(more: Partial<BrewHost> = {}, options = { hostname: '127.0.0.1', port: relay.port }) {
  const brew = new WebSocketBrew(options);
  const errors: PubkeeperError[] = [];
  const dropped: string[] = [];
  brew.attach({
    server: 'ws://127.0.0.1:1/ws',
    WebSocket: WebSocket as unknown as WebSocketConstructor,
    reconnect: quick,
    logger: undefined,
    state: () => undefined,
    report: (error) => errors.push(error),
    dropped: (reason) => dropped.push(reason),
    ...more,
  });
  clean.push(() => brew.close());
  const patron = ({ brewer = 1, patron = 2, topic = TOPIC, details = relay.details as object } = {}) => {
    const texts: string[] = [];
    const receive = (data: Uint8Array): void => void texts.push(Buffer.from(data.subarray(88)).toString());
    return { texts, stop: brew.startPatron({ topic, brewerId: id(brewer), patronId: id(patron), details: { name: 'websocket', ...details }, receive }) };
  };
  const brewer = (n = 1, patronId = 2, topic = TOPIC) => brew.startBrewer({ topic, brewerId: id(n), patronId: id(patronId), details: { name: 'websocket' } });
  return { brew, errors, dropped, patron, brewer };
}

describe('the details of a WebSocketBrew', () => {
  it.each([
    ['ws://h:9898/ws', { hostname: 'h', port: 9898, secure: false }],
    ['wss://h:9898/', { hostname: 'h', port: 9898, secure: true }],
    ['ws://h/', { hostname: 'h', port: 80, secure: false }],
    ['wss://h/', { hostname: 'h', port: 443, secure: true }],
    ['ws://[::1]:9898/ws', { hostname: '[::1]', port: 9898, secure: false }],
  ])('are, without options, the host and port of the server %s', (server, details) => {
    const { brew } = attached({ server }, {} as { hostname: string; port: number });
    expect(brew.brewerDetails()).toEqual({ name: 'websocket', ...details });
    expect(brew.patronDetails()).toEqual({ name: 'websocket' });
  });

  it.each([{ hostname: 'h' }, { port: 1 }, { secure: true }, { hostname: 'h', port: 0 }, { hostname: 'a/b', port: 1 }, { hostname: '', port: 1 }, { url: 'ws://h/path' }, 'ws://h/path'])('are refused if the options are %j', (options) => {
    thrown(() => new WebSocketBrew(options as object), 'BREW_CONFIG_INVALID');
  });

  it.each([null, {}, { hostname: undefined, port: undefined, secure: false }])('are those of the control server if the options are %j', (options) => {
    expect(attached({ server: 'ws://control:9898/ws' }, options as { hostname: string; port: number }).brew.brewerDetails()).toEqual({ name: 'websocket', hostname: 'control', port: 9898, secure: false });
  });

  it('may have the port as text, as those of deployed clients, and mean the same relay', async () => {
    const { patron, brew } = attached({}, { hostname: '127.0.0.1', port: String(relay.port) as unknown as number });
    expect(brew.brewerDetails()).toEqual(relay.details);
    patron();
    patron({ topic: 'c', details: { ...relay.details, port: String(relay.port) } });
    await relay.until(() => relay.log.length === 2);
    expect([relay.connections, relay.count('JOIN', TOPIC), relay.count('JOIN', 'c')]).toEqual([1, 1, 1]);
  });
});

it.each([[false, 'ws://h:80'], [true, 'wss://h:443']])('an empty port, as location.port may be, means the default port (secure: %s)', (secure, url) => {
  expect(relayUrl({ name: 'websocket', hostname: 'h', port: '', secure })).toBe(url);
});

it.each(['relay.example', 'a_b', '127.0.0.1', 'bücher.example', '例え.jp', '::1', '[::1]'])('the host %s is accepted, and is not escaped in the URL', (hostname) => {
  expect(relayUrl({ name: 'websocket', hostname, port: 1 })).toBe(`ws://${hostname === '::1' ? '[::1]' : hostname}:1`);
});

it.each([...'\t\n #%/:<>?@[\\]^|'].map((sign) => [`a${sign}z`]))('the host %j is refused, as only a host and a port may appear in the URL', (hostname) => {
  thrown(() => relayUrl({ name: 'websocket', hostname, port: 1 }), 'BREW_CONFIG_INVALID');
});

describe('the connection to a relay', () => {
  it('is shared by all brewers and patrons, with one JOIN and one LEAVE for each topic', async () => {
    const { patron, brewer, brew } = attached();
    const patrons = [patron(), patron({ patron: 3 }), patron({ brewer: 7 }), patron({ topic: 'c' })];
    const stops = [brewer(), brewer(1, 3), brewer(8)];
    await relay.until(() => relay.log.length === 2);
    const late = [patron({ patron: 4 }), patron({ topic: 'c', patron: 5 })]; // now that it is open
    late[0]!.stop();
    await brew.brew(id(1), frame('x'));
    await relay.until(() => relay.count('PUBLISH', TOPIC) === 1);
    expect([relay.connections, relay.count('JOIN', TOPIC), relay.count('JOIN', 'c')]).toEqual([1, 1, 1]);
    for (const { stop } of patrons.slice(0, 2)) stop();
    for (const stop of stops) stop();
    patrons[3]!.stop();
    late[1]!.stop();
    await relay.until(() => relay.count('LEAVE', 'c') === 1);
    expect(relay.count('LEAVE', TOPIC)).toBe(0);
    patrons[2]!.stop();
    await relay.until(() => relay.count('LEAVE', TOPIC) === 1);
    expect([relay.connections, relay.faults]).toEqual([1, []]);
  });

  it('is a separate one for each relay that a brewer names', async () => {
    const other = await new MiniRelay().listen();
    clean.push(() => other.close());
    const { patron } = attached();
    patron();
    patron({ brewer: 5, details: other.details });
    await Promise.all([relay.until(() => relay.log.length === 1), other.until(() => other.log.length === 1)]);
    expect([relay.connections, other.connections]).toEqual([1, 1]);
  });

  it('delivers each message once to all patrons of the brewer, in the same client and in others', async () => {
    const here = attached();
    const there = attached();
    const patrons = [here.patron(), here.patron({ patron: 3 }), there.patron({ patron: 4 }), here.patron({ brewer: 7, patron: 5 })];
    here.brewer();
    await relay.until(() => relay.count('JOIN', TOPIC) === 2);
    for (const text of ['1', '2', '3']) await here.brew.brew(id(1), frame(text));
    await vi.waitFor(() => expect(patrons.map(({ texts }) => texts)).toEqual([['1', '2', '3'], ['1', '2', '3'], ['1', '2', '3'], []]));
    expect(relay.faults).toEqual([]);
  });

  it('gives a patron of the same client no last value after a message that was brewed since it came', async () => {
    const here = attached();
    const there = attached();
    const { texts } = there.patron({ patron: 3 });
    here.brewer(1, 3);
    await relay.until(() => relay.count('JOIN', TOPIC) === 1);
    await here.brew.brew(id(1), frame('kept by the relay'));
    await vi.waitFor(() => expect(texts).toEqual(['kept by the relay']));
    const own = here.patron();
    here.brewer(1, 2);
    await here.brew.brew(id(1), frame('since'));
    await relay.until(() => relay.count('JOIN', TOPIC) === 2);
    relay.send(TOPIC, frame('of a stranger', 7)); // the relay sends in order, so the last value has come before this frame
    const stranger = here.patron({ brewer: 7, patron: 4 });
    await vi.waitFor(() => expect(stranger.texts).toEqual(['of a stranger']));
    expect(own.texts).toEqual(['since']);
  });
});

describe('a connection to a relay that was lost', () => {
  it('is made again, joins again, repeats no last value, and sends what was brewed meanwhile', async () => {
    const [from, to] = [attached(), attached()];
    const { texts } = to.patron();
    const own = from.patron({ patron: 3 });
    from.brewer();
    await relay.until(() => relay.count('JOIN', TOPIC) === 2);
    await from.brew.brew(id(1), frame('before'));
    await vi.waitFor(() => expect(texts).toEqual(['before']));
    for (let outage = 1; outage <= 3; outage++) {
      relay.kill();
      await relay.until(() => relay.sockets.size === 0);
      const late = from.brew.brew(id(1), frame(`meanwhile ${outage}`));
      await relay.until(() => relay.count('JOIN', TOPIC) === 2 + 2 * outage);
      await late;
      await vi.waitFor(() => expect(texts.at(-1)).toBe(`meanwhile ${outage}`));
    }
    expect(texts).toEqual(['before', 'meanwhile 1', 'meanwhile 2', 'meanwhile 3']);
    expect(own.texts).toEqual(texts);
    expect(from.errors.map(({ code }) => code)).toEqual(['CONNECTION_LOST', 'CONNECTION_LOST', 'CONNECTION_LOST']);
    expect(relay.faults).toEqual([]);
  });

  it('delivers messages that equal earlier ones after it was made again', async () => {
    const [from, to] = [attached(), attached()];
    const { texts } = to.patron();
    from.brewer();
    await relay.until(() => relay.count('JOIN', TOPIC) === 1);
    await from.brew.brew(id(1), frame('1'));
    await vi.waitFor(() => expect(texts).toEqual(['1']));
    relay.kill();
    await relay.until(() => relay.count('JOIN', TOPIC) === 2);
    for (const text of ['2', '1', '1']) await from.brew.brew(id(1), frame(text));
    await vi.waitFor(() => expect(texts).toEqual(['1', '2', '1', '1']));
  });

  it('is dialled until the relay is there, with one error, and sends then what was brewed', async () => {
    await relay.close();
    let dialled = 0;
    class Counting extends WebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(url, protocols);
        dialled++;
      }
    }
    const { brew, brewer, errors } = attached({ WebSocket: Counting as unknown as WebSocketConstructor });
    brewer();
    const brewing = brew.brew(id(1), frame('early'));
    await vi.waitUntil(() => dialled >= 4, 10_000); // three of these dials have failed
    await relay.listen();
    await brewing;
    await relay.until(() => relay.count('PUBLISH', TOPIC) === 1);
    expect(errors.map(({ code }) => code)).toEqual(['CONNECT_FAILED']); // reported once for each outage
  });
});

describe('a relay that is away', () => {
  const never = { ...quick, delayMs: 1e9, maxDelayMs: 1e9 };

  it.each([
    ['a patron', 'JOIN', false],
    ['a brewer', 'PUBLISH', true],
  ] as const)('is dialled at once when the server tells of a pair again, without waiting for the backoff: %s', async (_who, type, brews) => {
    const { brew, errors, patron, brewer } = attached({ reconnect: never });
    if (brews) brewer();
    else patron();
    await relay.until(() => relay.connections === 1);
    await relay.close();
    await vi.waitUntil(() => errors.length === 1);
    await relay.listen();
    const accepted = brews && brew.brew(id(1), frame('held'));
    brew.renew({ topic: TOPIC, brewerId: id(1), details: relay.details }, brews);
    await relay.until(() => relay.connections === 2 && !!relay.log.at(-1)?.startsWith(type));
    await accepted;
  });
});

describe('a control server behind a proxy, at a path', () => {
  it('has its relay at the same path; relays of other hosts, and of a server at /ws as deployed, have no path', async () => {
    const dialled: string[] = [];
    class Seen extends WebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(relay.url, protocols);
        dialled.push(url);
      }
    }
    const own = { hostname: 'app.example', port: 443, secure: true };
    const other = { ...own, hostname: 'relay.example' };
    const cases = ['wss://app.example/pubkeeper/ws', 'wss://app.example/pubkeeper', 'wss://app.example/ws', 'wss://app.example', 'wss://app.example/ws?x=1'];
    for (const server of cases) {
      const { patron } = attached({ server, WebSocket: Seen as unknown as WebSocketConstructor });
      patron({ details: own });
      patron({ brewer: 5, details: other });
    }
    const relays = ['wss://app.example:443/pubkeeper/ws', 'wss://app.example:443/pubkeeper', ...Array<string>(3).fill('wss://app.example:443')];
    expect(dialled).toEqual(relays.flatMap((url) => [url, 'wss://relay.example:443']));
    const { brewer, brew } = attached({ server: cases[0]!, WebSocket: Seen as unknown as WebSocketConstructor }, {} as { hostname: string; port: number });
    expect(brew.brewerDetails()).toEqual({ name: 'websocket', ...own });
    brewer();
    expect(dialled.at(-1)).toBe(relays[0]);
  });
});

describe('a relay that breaks the protocol', () => {
  it('has its text messages reported, and malformed and unknown frames counted, on a connection that stays open', async () => {
    const { patron, errors, dropped } = attached();
    const { texts } = patron();
    await relay.until(() => relay.count('JOIN', TOPIC) === 1);
    relay.send(TOPIC, 'text');
    const lying = frame('x');
    lying[84] = 200;
    for (const data of [bytes(''), bytes('garbage'), lying, frame('of a stranger', 9), frame('of another topic', 1, 'other'), frame('good')]) relay.send(TOPIC, data);
    await vi.waitFor(() => expect(texts).toEqual(['good']));
    expect(errors.map(({ code }) => code)).toEqual(['PROTOCOL_ERROR']);
    // Frames of unknown brewers are held for a second, as the server may tell of the brewers soon.
    await expect.poll(() => dropped, { timeout: 5000 }).toEqual(['malformed', 'malformed', 'malformed', 'unknown-brewer', 'unknown-brewer']);
    expect(relay.connections).toBe(1);
  });

  it.each(['', 'mqtt'])('is refused with one error if its subprotocol is %j, and brew() fails instead of waiting for ever', async (subprotocol) => {
    relay.subprotocol = subprotocol;
    const { brew, brewer, errors } = attached();
    const stop = brewer();
    await rejected(Promise.resolve(brew.brew(id(1), frame('x'))), 'SUBPROTOCOL_REFUSED');
    expect(errors.map(({ code }) => code)).toEqual(['SUBPROTOCOL_REFUSED']);
    await settle();
    thrown(() => brew.brew(id(1), frame('y')), 'BREW_FAILED');
    relay.subprotocol = 'pubkeeper-1.0.0';
    stop();
    brewer();
    await brew.brew(id(1), frame('z'));
    await relay.until(() => relay.count('PUBLISH', TOPIC) === 1);
  });
});

describe('a relay that does not read', () => {
  it('makes brew() wait, and then throw BUFFER_FULL; accepted messages arrive in order once it reads again', async () => {
    const [from, to] = [attached(), attached()];
    const { texts } = to.patron();
    from.brewer();
    await relay.until(() => relay.count('JOIN', TOPIC) === 1);
    await from.brew.brew(id(1), frame('first'));
    await relay.until(() => relay.count('PUBLISH', TOPIC) === 1);
    relay.pause(true);
    const waiting: Promise<void>[] = [];
    let full: PubkeeperError | undefined;
    const sent = ['first'];
    for (let i = 0; i < 100 && !full; i++) {
      try {
        const accepted = from.brew.brew(id(1), frame(String(i).padEnd(1024 * 1024, ' ')));
        if (accepted) waiting.push(accepted);
        sent.push(String(i));
      } catch (error) {
        full = error as PubkeeperError;
      }
    }
    expect(full).toMatchObject({ name: 'PubkeeperError', code: 'BUFFER_FULL' });
    expect(waiting.length).toBeGreaterThan(5);
    relay.pause(false);
    await Promise.all(waiting);
    await from.brew.brew(id(1), frame('last'));
    await vi.waitFor(() => expect(texts.at(-1)).toBe('last'), { timeout: 20_000 });
    expect(texts.map((text) => text.trim())).toEqual([...sent, 'last']);
  });
});

describe('a connection to a relay that nobody uses', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  it('is kept for a while, then closed; a patron that starts while it is closing gets a new one', () => {
    const network = new Network();
    network.answersClose = false;
    const { patron } = attached({ WebSocket: network.WebSocket });
    const first = patron();
    network.last.open('pubkeeper-1.0.0');
    first.stop();
    vi.advanceTimersByTime(1000);
    patron().stop();
    vi.advanceTimersByTime(1000);
    expect([network.sockets.length, network.last.readyState]).toEqual([1, 1]);
    vi.advanceTimersByTime(60_000);
    expect(network.last.readyState).toBe(2);
    patron();
    expect(network.sockets.length).toBe(2);
    network.last.open('pubkeeper-1.0.0');
    vi.advanceTimersByTime(60_000);
    expect(network.last.readyState).toBe(1);
    expect(network.last.sent.map((packet) => packet[0])).toEqual([0]);
  });
});
