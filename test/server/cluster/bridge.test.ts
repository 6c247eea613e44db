// Relays with bridges, over a bus that is a list: it does what NATS does, synchronously.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { encodeFrame, frameIdentity, topicHash } from '../../../src/core/frame.js';
import { RelayPacketType, encodeRelayPacket } from '../../../src/core/relay.js';
import { encodeFrames, encodeInterest } from '../../../src/server/cluster/bridge-format.js';
import { Bridge } from '../../../src/server/cluster/bridge.js';
import type { Bus, Receive } from '../../../src/server/cluster/bus.js';
import { SharedClock } from '../../../src/server/cluster/clock.js';
import { Relay, hashKey } from '../../../src/server/relay.js';
import type { RelayMember } from '../../../src/server/relay.js';
import { id, unhex } from '../../helpers.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

const HASH = topicHash('a');
const KEY = hashKey(HASH);
const TOKEN = Buffer.from(HASH).toString('base64url');

/** Servers of one network; `sent` lists what was published on the bus, as `from subject`. */
function network() {
  const subscriptions: { server: string; subject: string; receive: Receive; hears: () => boolean }[] = [];
  const sent: string[] = [];
  const due: (() => void)[] = [];
  const there = new Set<string>();
  let now = 1000;

  /** `behind`: by how many ms its clock is behind that of the others. */
  function server(letter: string, behind = 0) {
    const name = letter.repeat(12);
    const log: string[] = [];
    const drops: string[] = [];
    const state = { isUp: true, isFull: false, room: Infinity, malformed: 0, arrived: 0 };
    const fits = (subject: string, pattern: string): boolean => subject === pattern || (pattern.endsWith('.*') && subject.startsWith(pattern.slice(0, -1)));
    const bus: Bus = {
      get isUp() {
        return state.isUp;
      },
      maxMessage: 1024,
      fits: (length) => state.isUp && !state.isFull && length <= state.room,
      publish(subject, message, answerTo) {
        if (!state.isUp) return;
        sent.push(`${letter} ${subject}`);
        const to = subscriptions.filter((one) => one.server !== letter && one.hears() && fits(subject, one.subject));
        if (to.length) for (const { receive } of to) due.push(() => receive(subject, message, false));
        else if (answerTo !== undefined) for (const one of subscriptions) if (one.server === letter && fits(answerTo, one.subject)) due.push(() => one.receive(answerTo, new Uint8Array(0), true));
      },
      subscribe(subject, receive) {
        const mine = { server: letter, subject, receive, hears: () => state.isUp };
        subscriptions.push(mine);
        return () => void subscriptions.splice(subscriptions.indexOf(mine), 1);
      },
    };
    const bridge = new Bridge({
      server: name, bus, clock: new SharedClock(() => now++ - behind), prefix: 'net', maxFrame: 5000,
      others: () => new Set([...there].filter((other) => other !== name)),
      arrived: () => state.arrived++,
      malformed: () => state.malformed++,
      later: (run) => due.push(run),
    });
    const names = new Map<RelayMember, string>();
    const relay = new Relay<RelayMember>({
      write: (member, bytes) => log.push(`${names.get(member)} ${bytes.toString('utf8', 2 + 8 + 88).slice(0, 20)}${bytes[2] === 5 ? '*' : ''}`) > 0,
      cork: () => undefined,
      dropped: (fault) => drops.push(fault),
      bridge,
    });
    bridge.attach(relay);
    there.add(name);
    const member = (as: string) => {
      const connection: RelayMember = { version: 2 };
      names.set(connection, as);
      const send = (type: RelayPacketType, payload?: Uint8Array): void => relay.receive(connection, encodeRelayPacket(type, HASH, payload));
      return {
        join: () => send(RelayPacketType.JOIN),
        leave: () => send(RelayPacketType.LEAVE),
        publish: (text: string) => send(RelayPacketType.PUBLISH, encodeFrame(frameIdentity(HASH, unhex(id(1))), Buffer.from(text))),
      };
    };
    relays.push(relay);
    const leave = (): void => void there.delete(name);
    return { bridge, bus, name, state, relay, member, leave, drops, take: () => log.splice(0) };
  }

  const relays: Relay<RelayMember>[] = [];
  /** Runs until no message is on its way. */
  const settle = (): void => {
    do {
      for (const relay of relays) relay.flush();
      due.shift()?.();
    } while (due.length);
    for (const relay of relays) relay.flush();
  };
  return { server, settle, turn: () => due.shift()?.(), sent: () => sent.splice(0), open: () => subscriptions.length };
}

it('bridges carry frames to members at other relays, and none if no relay has members', () => {
  const { server, settle, sent } = network();
  const [a, b] = [server('a'), server('b')];
  const [brewer, patron] = [a.member('1'), b.member('2')];
  patron.join();
  settle();
  expect([a.bridge.joinedElsewhere(KEY), a.state.arrived, b.bridge.joinedElsewhere(KEY), b.bridge.topics]).toEqual([1, 1, 0, 1]);
  brewer.publish('one');
  settle();
  expect([b.take(), a.bridge.sent, b.bridge.received]).toEqual([['2 one'], 1, 1]);
  patron.leave();
  settle();
  expect([a.bridge.joinedElsewhere(KEY), b.bridge.topics]).toEqual([0, 0]);
  sent();
  brewer.publish('two');
  settle();
  brewer.publish('three');
  settle();
  // The first frame is published and answered by nobody, so that no more are.
  expect([sent(), b.take()]).toEqual([[`a net.t.${TOKEN}`], []]);
  patron.join();
  settle();
  brewer.publish('four');
  settle();
  expect(b.take()).toEqual(['2 three*', '2 four']);
});

it('bridges publish again after 20 ticks without demand, or when another server comes', () => {
  const { server, settle, sent } = network();
  const a = server('a');
  server('b');
  const brewer = a.member('1');
  const isSent = (): boolean => {
    brewer.publish('x');
    settle();
    return sent().length > 0;
  };
  expect([isSent(), isSent()]).toEqual([true, false]);
  for (let tick = 0; tick < 19; tick++) a.bridge.tick();
  expect(isSent()).toBe(false);
  a.bridge.tick();
  expect([isSent(), isSent()]).toEqual([true, false]);
  a.bridge.resync();
  expect(isSent()).toBe(true);
});

it('a joining member waits for the last value of each other relay, which is asked for once', () => {
  const { server, settle, sent } = network();
  const [a, b, c] = [server('a'), server('b'), server('c')];
  a.member('1').publish('old');
  b.member('2').publish('new');
  settle();
  sent();
  const [three, four] = [c.member('3'), c.member('4')];
  three.join();
  four.join();
  expect(c.take()).toEqual([]);
  settle();
  expect(c.take().sort()).toEqual(['3 new*', '4 new*']);
  expect(sent().sort()).toEqual(['a net.done.cccccccccccc', `a net.last.cccccccccccc.${TOKEN}`, 'b net.done.cccccccccccc', `b net.last.cccccccccccc.${TOKEN}`, 'c net.join']);
  c.member('5').join();
  settle();
  // The last value is known by now.
  expect([c.take(), sent()]).toEqual([['5 new*'], ['c net.join']]);
  expect([a.bridge.joinedElsewhere(KEY), b.bridge.joinedElsewhere(KEY)]).toEqual([3, 3]);
  expect(vi.getTimerCount()).toBe(0);
});

it('what is published after another relay’s last value has come counts as newer, also if the clock here is behind', () => {
  const { server, settle } = network();
  const [a, b] = [server('a'), server('b', 500)];
  a.member('1').publish('old');
  settle();
  const two = b.member('2');
  two.join();
  settle();
  expect(b.take()).toEqual(['2 old*']);
  two.publish('new');
  settle();
  const three = a.member('3');
  three.join();
  settle();
  expect(a.take()).toEqual(['3 new*']);
});

it.each<[string, (c: { bridge: Bridge }, gone: string) => void]>([
  ['has gone', ({ bridge }, gone) => bridge.gone(gone)],
  ['cannot be reached', ({ bridge }) => bridge.interrupted()],
  ['does not answer for 500 ms', () => void vi.advanceTimersByTime(1)],
])('a joining member does not wait for a relay that %s', (_what, happens) => {
  const { server, settle } = network();
  const [a, c] = [server('a'), server('c')];
  c.member('1').publish('own');
  settle();
  a.state.isUp = false;
  c.member('2').join();
  settle();
  vi.advanceTimersByTime(499);
  expect([c.take(), vi.getTimerCount()]).toEqual([[], 1]);
  happens(c, a.name);
  settle();
  expect([c.take(), vi.getTimerCount()]).toEqual([['2 own*'], 0]);
});

it('a joining member gets the relay’s own last value at once without another relay or a bus', () => {
  const { server, settle, sent } = network();
  const a = server('a');
  a.member('1').publish('own');
  settle();
  const two = a.member('2');
  two.join();
  settle();
  expect([a.take(), sent()]).toEqual([['2 own*'], []]);
  two.leave();
  server('b');
  a.state.isUp = false;
  a.member('3').join();
  // At once, as no relay is asked.
  expect(a.take()).toEqual(['3 own*']);
  settle();
  expect([a.take(), sent()]).toEqual([[], []]);
});

it('a bridge asks for last values of all its topics when the bus is back, and answers the others', () => {
  const { server, settle, sent } = network();
  const [a, b] = [server('a'), server('b')];
  const [one, two] = [a.member('1'), b.member('2')];
  one.join();
  two.join();
  settle();
  a.state.isUp = false;
  a.bridge.interrupted();
  one.leave();
  two.publish('missed');
  settle();
  one.join();
  settle();
  expect([a.take(), b.bridge.joinedElsewhere(KEY)]).toEqual([[], 1]);
  sent();
  a.state.isUp = true;
  a.bridge.restored();
  settle();
  expect(a.take()).toEqual(['1 missed']);
  expect(sent().filter((line) => line === 'a net.join')).toHaveLength(2);
  expect(a.bridge.joinedElsewhere(KEY)).toBe(0);
  b.bridge.tick();
  settle();
  expect(a.bridge.joinedElsewhere(KEY)).toBe(1);
  sent();
  for (const { bridge } of [b, a]) bridge.tick();
  settle();
  expect(sent()).toEqual([]);
});

it('a bridge asks once for members that join before the answer, and not again when a member leaves', () => {
  const { server, settle, turn, sent } = network();
  const [, c] = [server('a'), server('c')];
  const [one, two] = [c.member('1'), c.member('2')];
  const isAnswered = (): boolean => sent().some((line) => line.startsWith('a net.done'));
  one.join();
  settle();
  expect(isAnswered()).toBe(true);
  two.join();
  settle();
  two.leave();
  settle();
  expect(isAnswered()).toBe(false);
  one.leave();
  settle();
  sent();
  const late = [c.member('3'), c.member('4')];
  // In two turns, the second of them before the answer.
  late[0]!.join();
  turn();
  late[1]!.join();
  settle();
  expect(sent().filter((line) => line.startsWith('a net.done'))).toHaveLength(1);
});

it('waiting members get the relay’s own last value when the bus is lost before others were asked', () => {
  const { server, settle } = network();
  const [, c] = [server('a'), server('c')];
  c.member('1').publish('own');
  settle();
  c.member('2').join();
  c.state.isUp = false;
  c.bridge.interrupted();
  settle();
  expect([c.take(), vi.getTimerCount()]).toEqual([['2 own*'], 0]);
});

it('after an outage a bridge publishes the newest missed frame first, and counts as lost only frames that others want', () => {
  const { server, settle } = network();
  const [a, b] = [server('a'), server('b')];
  const [brewer, patron] = [a.member('1'), b.member('2')];
  a.state.isUp = false;
  brewer.publish('for nobody yet');
  settle();
  expect([a.drops, a.relay.topics]).toEqual([[], 0]);
  a.state.isUp = true;
  a.bridge.restored();
  patron.join();
  settle();
  brewer.publish('one');
  settle();
  a.state.isUp = false;
  brewer.publish('missed');
  settle();
  expect(a.drops).toEqual(['cluster-frame']);
  b.take();
  a.state.isUp = true;
  a.bridge.restored();
  settle();
  expect(b.take()).toEqual(['2 missed']);
  brewer.publish('two');
  settle();
  expect(b.take()).toEqual(['2 two']);
});

it('a relay forgets a topic on which nothing was published for 120 ticks', () => {
  const { server, settle } = network();
  const [a, b] = [server('a'), server('b')];
  b.member('2').join();
  settle();
  a.member('1').publish('one');
  settle();
  for (let tick = 0; tick < 119; tick++) a.bridge.tick();
  expect(a.relay.topics).toBe(1);
  a.bridge.tick();
  expect(a.relay.topics).toBe(0);
});

it('a bridge does not count members at a server that has gone', () => {
  const { server, settle } = network();
  const [a, b] = [server('a'), server('b')];
  b.member('2').join();
  settle();
  b.leave();
  a.bridge.gone(b.name);
  expect(a.bridge.joinedElsewhere(KEY)).toBe(0);
});

it('a bridge sends no frames while the bus is full, and sends again when there is room', () => {
  const { server, settle } = network();
  const [a, b] = [server('a'), server('b')];
  b.member('2').join();
  settle();
  const brewer = a.member('1');
  a.state.isFull = true;
  brewer.publish('one');
  brewer.publish('two');
  settle();
  expect(b.take()).toEqual([]);
  a.state.isFull = false;
  a.bridge.drained();
  brewer.publish('three');
  settle();
  expect(b.take().at(-1)).toBe('2 three');
});

it('a bridge asks for room for all frames of a tick together, and sends no last value for which there is none', () => {
  const { server, settle, sent } = network();
  const [a, b] = [server('a'), server('b')];
  b.member('2').join();
  settle();
  const brewer = a.member('1');
  // Of two frames of 91 bytes, there is room for one.
  a.state.room = 100;
  for (const text of ['one', 'two']) brewer.publish(text);
  settle();
  expect(b.take()).toEqual([]);
  a.bridge.drained();
  settle();
  expect(b.take()).toEqual(['2 two']);
  a.state.room = 90;
  sent();
  server('c').member('3').join();
  settle();
  expect(sent().filter((one) => one.startsWith('a net.last'))).toEqual([]);
});

it('a bridge ignores its own messages, and counts malformed ones', () => {
  const { server, settle } = network();
  const [a, b] = [server('a'), server('b')];
  a.member('1').join();
  settle();
  const frame = encodeFrame(frameIdentity(HASH, unhex(id(1))), Buffer.from('x'));
  for (const from of [a.name, 'c'.repeat(12)]) for (const message of encodeFrames(from, 2000, [frame], 1024)) b.bus.publish(`net.t.${TOKEN}`, message);
  settle();
  expect([a.take(), a.bridge.received, a.state.malformed]).toEqual([['1 x'], 1, 0]);
  expect(a.bridge.stamp()).toBeGreaterThan(2000);
  b.bus.publish('net.join', encodeInterest(a.name, 0, [{ hash: HASH, count: 5, asks: false }]));
  // Only NATS may say that nobody listens.
  b.bus.publish(`net.void.${a.name}.${TOKEN}`, new Uint8Array(0));
  settle();
  expect([a.bridge.joinedElsewhere(KEY), a.bridge.wants(KEY)]).toEqual([0, true]);
  for (const subject of [`net.t.${TOKEN}`, 'net.join', `net.last.${a.name}.${TOKEN}`, `net.done.${a.name}`]) b.bus.publish(subject, Uint8Array.of(9));
  settle();
  expect(a.state.malformed).toBe(4);
});

it('close() ends all subscriptions and timers of a bridge', () => {
  const { server, settle, open } = network();
  const [a, b] = [server('a'), server('b')];
  a.member('1').join();
  b.member('2').publish('x');
  settle();
  a.bridge.close();
  b.bridge.close();
  expect([open(), a.bridge.topics, vi.getTimerCount()]).toEqual([0, 0, 0]);
});
