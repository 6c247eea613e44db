// A brew of a client with several brews behaves as it does alone: it gets all calls of its client, and a pair that has ended leaves nothing behind.
import { queryObjects } from 'node:v8';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { failover } from '../../src/brews/internal/failover.js';
import type { Brew, BrewerPair, BrewHost, Failover, PatronPair } from '../../src/core/brew.js';
import type { WebSocketConstructor } from '../../src/core/connection.js';
import { encodeFrame, frameIdentity, topicHash } from '../../src/core/frame.js';
import type { Packet } from '../../src/core/packet.js';
import { deferred, id, settle, unhex } from '../helpers.js';
import { sealedFrame } from '../sealed-frame.js';

const [BREWER, PATRON] = [id(1), id(2)];
const frame = (text: string): Uint8Array<ArrayBuffer> => encodeFrame(frameIdentity(topicHash('a'), unhex(BREWER)), Buffer.from(text));
const RELAY = { name: 'websocket', hostname: 'relay.test', port: 1, secure: false };

/** A socket that opens and closes when the test says so. */
class Socket extends EventTarget {
  readyState = 0;
  is(what: 'open' | 'close'): void {
    this.readyState = what === 'open' ? 1 : 3;
    this.dispatchEvent(new Event(what));
  }
}

/** A brew that logs the calls that it gets. */
class Noted implements Brew {
  readonly failover?: Failover;
  readonly log: string[] = [];
  receive: PatronPair['receive'] = () => undefined;
  accepted: Promise<void> | undefined;
  attach(): void {
    this.log.push('attach');
  }
  constructor(readonly name: string, failover?: Failover) {
    if (failover) this.failover = failover;
  }
  brewerDetails = () => ({ ...RELAY, name: this.name });
  patronDetails = () => ({ name: this.name });
  startBrewer({ missed, accepting }: BrewerPair): () => void {
    this.log.push(`brewer starts${missed ? ` with ${missed.length}` : ''}`);
    if (missed && this.accepted) accepting?.(this.accepted);
    return () => void this.log.push('brewer stops');
  }
  startPatron({ receive }: PatronPair): () => void {
    this.receive = receive;
    this.log.push('patron starts');
    return () => void this.log.push('patron stops');
  }
  brew(): void | Promise<void> {
    this.log.push('brews');
  }
  endBrewer = (brewerId: string) => void this.log.push(`ends ${brewerId}`);
  renew = ({ details }: Pick<BrewerPair, 'details'>, brews: boolean) => void this.log.push(`renews ${details.ticket} ${brews}`);
  rest = () => void this.log.push('rests');
  wake = (silentMs?: number) => void this.log.push(`wakes ${silentMs}`);
  close = () => void this.log.push('closes');
  take = (): string[] => this.log.splice(0);
}

/** @param made set if the relay's brew can itself send again what a pair has missed */
function bench(made?: Failover) {
  const [relay, other] = [new Noted('websocket', made), new Noted('other', failover)];
  const told: unknown[] = [];
  const host = { server: 'ws://control.test/ws', WebSocket: Socket as unknown as WebSocketConstructor } as BrewHost;
  const [moving, beside] = failover(host, [relay, other], ({ payload }: Packet) => void ('moves' in payload || told.push(payload)));
  for (const brew of [moving!, beside!]) brew.attach(host);
  const dial = (): Socket => new host.WebSocket('ws://relay.test:1') as unknown as Socket;
  const pair = { topic: 'a', brewerId: BREWER, patronId: PATRON, details: RELAY };
  const got: string[] = [];
  const reading = { ...pair, receive: (bytes: Uint8Array) => void got.push(Buffer.from(bytes.subarray(88)).toString()) };
  return { host, relay, other, moving: moving!, beside: beside!, told, dial, pair, reading, got };
}

it('a moving brew passes on all calls of its client', async () => {
  const { relay, moving, pair } = bench();
  moving.renew!({ ...pair, details: { ...RELAY, ticket: 'aa' } }, true);
  moving.renew!({ ...pair, details: { ...RELAY, ticket: 'bb' } }, false);
  moving.rest!();
  moving.wake!();
  moving.wake!(5);
  moving.endBrewer!(BREWER);
  await moving.close();
  expect(relay.take()).toEqual(['attach', 'renews aa true', 'renews bb false', 'rests', 'wakes undefined', 'wakes 5', `ends ${BREWER}`, 'closes']);
});

it('a moving brew keeps no frame of a brewer that has ended, and none after it is closed', async () => {
  const { moving, pair } = bench();
  const begin = (brewerId: string): (() => void) => moving.startBrewer({ ...pair, brewerId });
  const brew = (brewerId: string): WeakRef<Uint8Array> => ((bytes) => (void moving.brew(brewerId, bytes), new WeakRef(bytes)))(frame('x'));
  const stops = [begin(id(3)), begin(id(4))];
  const brewed = [brew(id(3)), brew(id(4))];
  /** Which of the two frames are still in memory. */
  const areKept = async (): Promise<boolean[]> => {
    // In a new turn of the event loop. queryObjects() collects garbage before it counts.
    await settle();
    queryObjects(WeakRef, { format: 'count' });
    return brewed.map((one) => one.deref() !== undefined);
  };
  for (const stop of stops) stop();
  moving.endBrewer!(id(3));
  expect(await areKept()).toEqual([false, true]);
  await moving.close();
  expect(await areKept()).toEqual([false, false]);
});

it('a moving brew sends again what any patron may have missed over a brew that sends each frame to all patrons', () => {
  const { relay, moving, beside, pair } = bench();
  const brew = (sequence: number): void => {
    const options = { topic: 'a', brewerId: BREWER, key: Buffer.alloc(32), epoch: '0'.repeat(16), sequence, flags: 0 };
    void beside.brew(BREWER, Uint8Array.from(sealedFrame(Buffer.from('x'), options)));
  };
  const first = beside.startBrewer(pair);
  brew(0);
  const second = beside.startBrewer({ ...pair, patronId: id(3) });
  brew(1);
  second();
  moving.startBrewer({ ...pair, patronId: id(3) });
  first();
  moving.startBrewer(pair);
  expect(relay.take()).toEqual(['attach', 'brewer starts', 'brews', 'brews', 'brewer starts']);
});

it('a moving brew ends a pair and closes only when frames that were sent again are accepted', async () => {
  const { relay, moving, beside, pair } = bench(failover);
  const { promise, resolve } = deferred<void>();
  relay.accepted = promise;
  const stop = beside.startBrewer(pair);
  const options = { topic: 'a', brewerId: BREWER, key: Buffer.alloc(32), epoch: '0'.repeat(16), sequence: 0, flags: 0 };
  void beside.brew(BREWER, Uint8Array.from(sealedFrame(Buffer.from('x'), options)));
  stop();
  const leave = moving.startBrewer(pair);
  leave();
  await settle();
  const closed = moving.close();
  await settle();
  expect(relay.take()).toEqual(['attach', 'brewer starts with 1']);
  resolve();
  await closed;
  expect(relay.take()).toEqual(['brewer stops', 'closes']);
});

it('a moving brew gives a patron no frame any more from the brew that it has left', () => {
  const { relay, moving, beside, other, reading, got } = bench();
  const stop = moving.startPatron(reading);
  relay.receive(frame('1'));
  stop();
  beside.startPatron(reading);
  relay.receive(frame('late'));
  other.receive(frame('2'));
  expect(got).toEqual(['1', '2']);
});

describe('a relay that is lost', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    return () => void vi.useRealTimers();
  });
  const outage = (socket: Socket): void => {
    socket.is('close');
    vi.advanceTimersByTime(500);
  };

  it('is reported as down for its present pairs, and its connection is kept for them after they have moved, until it is up', async () => {
    const { relay, moving, beside, told, dial, pair, reading } = bench();
    const socket = dial();
    socket.is('open');
    // These ended earlier, and must not be reported.
    moving.startBrewer({ ...pair, brewerId: id(3) })();
    moving.startPatron({ ...reading, brewerId: id(3) })();
    await settle();
    const stops = [moving.startBrewer(pair), moving.startPatron(reading)];
    relay.take();
    outage(socket);
    expect(told.splice(0)).toEqual([{ brew: 'websocket', state: 'down', brewer_id: BREWER }, { brew: 'websocket', state: 'down', brewer_id: BREWER, patron_id: PATRON }]);
    for (const stop of stops) stop();
    const elsewhere = [beside.startBrewer(pair), beside.startPatron(reading)];
    await settle();
    // Their connection is kept, as otherwise the client would not notice that the relay is back.
    expect(relay.take()).toEqual([]);
    dial().is('open');
    expect(told.splice(0)).toEqual([{ brew: 'websocket', state: 'up', brewer_id: BREWER }, { brew: 'websocket', state: 'up', brewer_id: BREWER, patron_id: PATRON }]);
    expect(relay.take().sort()).toEqual(['brewer stops', 'patron stops']);
    for (const stop of elsewhere) stop();
  });

  it('starts a pair that returns before it stops the former one, and keeps nothing of a pair that ends over another brew', async () => {
    const { relay, moving, beside, dial, pair, reading } = bench();
    const socket = dial();
    socket.is('open');
    const begin = (brew: Brew): (() => void)[] => [brew.startBrewer(pair), brew.startPatron(reading)];
    const end = (stops: (() => void)[]): void => stops.forEach((stop) => stop());
    let here = begin(moving);
    outage(socket);
    end(here);
    const there = begin(beside);
    await settle();
    relay.take();
    end(there);
    here = begin(moving);
    expect(relay.take()).toEqual(['brewer starts', 'brewer stops', 'patron starts', 'patron stops']);
    await settle();
    end(here);
    const last = begin(beside);
    await settle();
    expect(relay.take()).toEqual([]);
    end(last);
    await settle();
    expect(relay.take()).toEqual(['brewer stops', 'patron stops']);
    end(begin(moving));
    await settle();
    expect(relay.take()).toEqual(['brewer starts', 'patron starts', 'brewer stops', 'patron stops']);
  });

  it('is reported as up when its brewer has ended, and not reported as down while the client rests', async () => {
    const { moving, told, dial, pair } = bench();
    const socket = dial();
    socket.is('open');
    const stop = moving.startBrewer(pair);
    moving.rest!();
    outage(socket);
    expect(told).toEqual([]);
    moving.wake!();
    const again = dial();
    again.is('open');
    outage(again);
    expect(told.splice(0)).toEqual([{ brew: 'websocket', state: 'down', brewer_id: BREWER }]);
    stop();
    moving.endBrewer!(BREWER);
    await settle();
    expect(told.splice(0)).toEqual([{ brew: 'websocket', state: 'up', brewer_id: BREWER }]);
    dial().is('open');
    expect(told).toEqual([]);
  });

  it('is not waited for when the client disconnects: pairs that were kept for it are stopped', async () => {
    const { relay, moving, beside, dial, pair, told } = bench();
    const socket = dial();
    socket.is('open');
    const stop = moving.startBrewer(pair);
    outage(socket);
    stop();
    beside.startBrewer(pair);
    await settle();
    relay.take();
    await moving.close();
    expect(relay.take()).toEqual(['brewer stops', 'closes']);
    told.splice(0);
    // The outage is forgotten in the next session.
    void moving.brewerDetails(pair);
    moving.startBrewer(pair);
    dial().is('open');
    expect(told).toEqual([]);
  });
});
