import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { decodePacket, encodePacket, type Packet, PacketType, type PubkeeperError, RelayPacketType } from '../src/core/index.js';
import { PubkeeperClient } from '../src/index.js';

// How a client reacts to the life of a page, with fake time and network. e2e/page-life.test.ts shows the same
// in a real browser.

const HEARTBEAT = 1000;

/** A network of sockets whose other ends act as a server: they authenticate control connections, and answer requests. */
class Network {
  readonly sockets: FakeSocket[] = [];
  /** When false, nothing comes back, as after the loss of a Wi-Fi: no answer, and no close either. */
  isUp = true;
  /** When false, only the relay is silent. */
  isRelayUp = true;
  /** The relay that the brewer announces: by default not on the control server's host, so that it may not be pinged. */
  relay = { hostname: 'relay', port: 1 };
  readonly WebSocket: new (url: string, protocols?: string | string[]) => FakeSocket;

  constructor() {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the class below has a `this` of its own
    const network = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(network, url, [protocols ?? []].flat());
        network.sockets.push(this);
      }
    };
  }

  open(kind: 'control' | 'relay'): FakeSocket[] {
    return this.sockets.filter((socket) => socket.kind === kind && socket.readyState === 1);
  }
}

class FakeSocket {
  binaryType = '';
  readyState = 0;
  bufferedAmount = 0;
  protocol = '';
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  readonly kind: 'control' | 'relay';
  /** The number of PINGs to the relay. */
  pings = 0;
  readonly received: (PacketType | 'unknown')[] = [];
  readonly #network: Network;

  constructor(network: Network, _url: string, protocols: string[]) {
    this.#network = network;
    this.kind = protocols.includes('pubkeeper-1.1') ? 'control' : 'relay';
    queueMicrotask(() => {
      if (!network.isUp || this.readyState) return;
      this.readyState = 1;
      this.protocol = protocols[0]!;
      this.onopen?.({} as never);
    });
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.#network.isUp) return;
    if (this.kind === 'relay') {
      const asks = (bytes[0] ?? 0) === RelayPacketType.PING;
      if (asks) this.pings++;
      if (asks && this.#network.isRelayUp) this.say(Uint8Array.of(RelayPacketType.PING, 0, 0, 0, 0, 0, 0, 0));
      return;
    }
    const packet = decodePacket(bytes);
    this.received.push(packet.type);
    if (packet.type === 'unknown') this.say(bytes); // the only unknown type is a PING
    if (packet.type === PacketType.CLIENT_AUTHENTICATE) {
      this.#answer({ type: PacketType.CLIENT_AUTHENTICATED, payload: { authenticated: true, heartbeat: HEARTBEAT } as never });
    }
    if (packet.type === PacketType.PATRON_REGISTER) {
      const { topic, patron_id } = packet.payload;
      const brewer = { topic, brewer_id: 'b'.repeat(32), brewer_config: {}, brew: { name: 'websocket', ...this.#network.relay } };
      this.#answer({ type: PacketType.BREWER_NOTIFY, payload: { patron_id, brewers: [brewer] } as never });
    }
  }

  close(code = 1000): void {
    if (this.readyState > 1) return;
    this.readyState = 3;
    queueMicrotask(() => this.onclose?.({ code, reason: '' } as never));
  }

  say(bytes: Uint8Array<ArrayBuffer>): void {
    queueMicrotask(() => this.onmessage?.({ data: bytes.slice().buffer } as never));
  }

  #answer(packet: Packet): void {
    this.say(encodePacket(packet, '1.1'));
  }
}

let network: Network;
let client: PubkeeperClient;
let errors: PubkeeperError[];
let states: string[];
let wake: () => void;
let rest: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  network = new Network();
  errors = [];
  client = new PubkeeperClient({
    server: 'ws://server/ws',
    token: 'secret',
    WebSocket: network.WebSocket,
    reconnect: { delayMs: 0 },
    lifecycle: (...page) => {
      [wake, rest] = page;
      return () => undefined;
    },
  });
  states = [];
  client.on('state', (state) => states.push(state));
  client.on('error', (error) => errors.push(error));
});
afterEach(async () => {
  const gone = client.disconnect();
  await vi.advanceTimersByTimeAsync(1000);
  await gone;
  vi.useRealTimers();
});

describe('the heartbeat of the control connection', () => {
  it('pings a silent server, and keeps the connection while it answers', async () => {
    await client.connect();
    await vi.advanceTimersByTimeAsync(60 * HEARTBEAT);
    const [control] = network.open('control');
    // A PING after 1.2 heartbeats of silence, each time.
    expect(control?.received.filter((type) => type === 'unknown')).toHaveLength(50);
    expect(network.sockets).toHaveLength(1);
    expect(errors).toEqual([]);
  });

  it('does not treat its own throttled timers as silence of the server', async () => {
    await client.connect();
    // As in a hidden tab: timers run once a minute, and the server's answers come at once.
    for (let minute = 0; minute < 5; minute++) {
      vi.setSystemTime(Date.now() + 60_000);
      await vi.advanceTimersToNextTimerAsync();
    }
    expect(network.sockets).toHaveLength(1);
    expect(client.state).toBe('connected');
    expect(errors).toEqual([]);
  });

  it('pings also after the clock was set back, so that it finds a dead server', async () => {
    await client.connect();
    vi.setSystemTime(Date.now() - 3_600_000);
    network.isUp = false;
    await vi.advanceTimersByTimeAsync(3 * HEARTBEAT);
    expect(errors).toMatchObject([{ code: 'CONNECTION_LOST' }]);
    network.isUp = true;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(client.state).toBe('connected');
  });

  it('ends the connection to a server that does not answer, within 2.5 heartbeats', async () => {
    await client.connect();
    network.isUp = false;
    await vi.advanceTimersByTimeAsync(2.5 * HEARTBEAT);
    expect(errors).toMatchObject([{ code: 'CONNECTION_LOST', details: { silentMs: 1.2 * HEARTBEAT } }]);
    expect(client.state).toBe('reconnecting');
    network.isUp = true;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(client.state).toBe('connected');
  });
});

describe('the heartbeat of the control server’s own relay', () => {
  beforeEach(async () => {
    network.relay = { hostname: 'server', port: 80 };
    client.addPatron('page.*', () => undefined);
    await client.connect();
    await vi.advanceTimersByTimeAsync(0);
  });

  it('pings when the connection opens and in silence, and keeps the connection while it is answered', async () => {
    const [relay] = network.open('relay');
    expect(relay!.pings).toBe(1);
    await vi.advanceTimersByTimeAsync(60 * HEARTBEAT);
    expect(relay!.pings).toBe(51);
    expect(network.sockets).toHaveLength(2);
    expect(errors).toEqual([]);
  });

  it('ends the connection to a relay that does not answer within 2.5 heartbeats, and only that connection', async () => {
    network.isRelayUp = false;
    await vi.advanceTimersByTimeAsync(2.5 * HEARTBEAT);
    expect(errors).toMatchObject([{ code: 'CONNECTION_LOST', message: 'ws://server:80 did not answer within 1200 ms.' }]);
    expect(states).toEqual(['connecting', 'connected']);
    network.isRelayUp = true;
    await vi.advanceTimersByTimeAsync(1);
    expect([network.open('control').length, network.open('relay').length]).toEqual([1, 1]);
    await vi.advanceTimersByTimeAsync(60 * HEARTBEAT);
    expect(network.sockets).toHaveLength(3);
  });

  it('does not ping another relay, which may not support that', async () => {
    network.relay = { hostname: 'relay', port: 1 };
    client.addPatron('other.*', () => undefined);
    await vi.advanceTimersByTimeAsync(60 * HEARTBEAT);
    expect(network.open('relay').map(({ pings }) => pings)).toEqual([51, 0]);
  });
});

describe('a page that is put away', () => {
  it('closes its sockets, and opens them again at once when it returns', async () => {
    client.addPatron('page.*', () => undefined);
    await client.connect();
    await vi.advanceTimersByTimeAsync(0);
    expect([network.open('control').length, network.open('relay').length]).toEqual([1, 1]);

    rest();
    rest(); // `pagehide` and `freeze` come one after the other
    expect(network.sockets.map(({ readyState }) => readyState)).toEqual([3, 3]);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(network.sockets).toHaveLength(2);
    expect(states).toEqual(['connecting', 'connected', 'reconnecting']);

    wake();
    wake(); // `visibilitychange` and `pageshow` too
    await vi.advanceTimersByTimeAsync(0);
    expect([network.open('control').length, network.open('relay').length]).toEqual([1, 1]);
    expect(network.sockets).toHaveLength(4);
    expect(client.state).toBe('connected');
    expect(errors).toEqual([]); // nothing was lost, as the page closed the sockets itself
  });

  it('continues a connect() that had only begun when it returns', async () => {
    network.isUp = false;
    const connected = client.connect();
    await vi.advanceTimersByTimeAsync(10);
    rest();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.state).toBe('connecting');
    network.isUp = true;
    wake();
    await vi.advanceTimersByTimeAsync(0);
    await connected;
    expect(states).toEqual(['connecting', 'connected']);
  });

  it('stays disconnected if the client was, or is disconnected meanwhile', async () => {
    await client.connect();
    rest();
    const gone = client.disconnect();
    await vi.advanceTimersByTimeAsync(0);
    await gone;
    wake();
    rest();
    wake();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(network.sockets).toHaveLength(1);
    expect(client.state).toBe('disconnected');
  });
});

describe('a page that wakes up', () => {
  it('pings at once, and keeps its connections when the server answers', async () => {
    client.addPatron('page.*', () => undefined);
    await client.connect();
    await vi.advanceTimersByTimeAsync(0);
    const before = vi.getTimerCount();
    for (let i = 0; i < 10; i++) wake();
    expect(vi.getTimerCount()).toBe(before);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(network.sockets).toHaveLength(2);
    expect(states).toEqual(['connecting', 'connected']);
  });

  it('has new sockets to control server and relay within seconds when the old ones have died silently', async () => {
    client.addPatron('page.*', () => undefined);
    await client.connect();
    await vi.advanceTimersByTimeAsync(0);
    const dead = [...network.sockets];
    vi.setSystemTime(Date.now() + 3_600_000); // asleep for an hour
    network.isUp = false;
    wake();
    await vi.advanceTimersByTimeAsync(2999);
    expect(network.sockets).toHaveLength(2);
    network.isUp = true;
    await vi.advanceTimersByTimeAsync(1);
    expect(dead.map(({ readyState }) => readyState)).toEqual([3, 3]);
    await vi.advanceTimersByTimeAsync(1); // the shortest time of a timer
    expect([network.open('control').length, network.open('relay').length]).toEqual([1, 1]);
    expect(client.state).toBe('connected');
    expect(errors).toMatchObject([{ code: 'CONNECTION_LOST', details: { silentMs: 3000 } }]);
  });

  it('has a new socket to the relay within seconds when only that one has died', async () => {
    network.relay = { hostname: 'server', port: 80 };
    client.addPatron('page.*', () => undefined);
    await client.connect();
    await vi.advanceTimersByTimeAsync(0);
    const [relay] = network.open('relay');
    network.isRelayUp = false;
    await vi.advanceTimersByTimeAsync(1); // data in the millisecond of the PING could be an answer
    wake();
    await vi.advanceTimersByTimeAsync(2999);
    expect(network.open('relay')).toEqual([relay]);
    await vi.advanceTimersByTimeAsync(2);
    expect(relay!.readyState).toBe(3);
    expect([network.open('control').length, network.open('relay').length]).toEqual([1, 1]);
    expect(states).toEqual(['connecting', 'connected']);
    expect(errors).toMatchObject([{ code: 'CONNECTION_LOST', details: { silentMs: 3000 } }]);
  });

  it('keeps a relay connection on which data came while the server was silent', async () => {
    client.addPatron('page.*', () => undefined);
    await client.connect();
    await vi.advanceTimersByTimeAsync(0);
    const [relay] = network.open('relay');
    network.isUp = false;
    vi.setSystemTime(Date.now() + 3_600_000);
    wake();
    await vi.advanceTimersByTimeAsync(2000);
    relay!.say(new Uint8Array(3)); // malformed, but the relay is alive
    await vi.advanceTimersByTimeAsync(5000);
    expect(client.state).toBe('reconnecting');
    expect(network.open('relay')).toEqual([relay]);
  });
});
