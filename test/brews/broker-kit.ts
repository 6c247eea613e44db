import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, expect } from 'vitest';
import { newId, type Brew, type PubkeeperError } from '../../src/core/index.js';
import { rawFrame, rejected, thrown } from '../helpers.js';
import { FaultProxy } from '../faults/proxy.js';
import { sealedFrame } from '../sealed-frame.js';
import { attached, pair, receiver, TOPIC } from './rig.js';

// What brews over a broker promise, whichever broker it is. Each function is a step of a test, with its assertions.

type Rig = ReturnType<typeof attached>;
type Box = Awaited<ReturnType<typeof pair>>;

/** A list of functions that run after each test, the newest first. */
export function cleaning(): (() => unknown)[] {
  const clean: (() => unknown)[] = [];
  afterEach(async () => {
    for (const run of clean.splice(0).reverse()) await run();
  });
  return clean;
}

/** Returns a function that makes brews with their hosts, which are closed after the test. */
export const brewing =
  <Options, B extends Brew & { close(): unknown }>(clean: (() => unknown)[], make: (options: Options) => B) =>
  (options: Options) => {
    const rig = attached(make(options));
    clean.push(() => rig.brew.close());
    return rig;
  };

/** 200 frames that are brewed at once, before the patron has subscribed, arrive in order. */
export async function carriesInOrder(writer: Rig, reader: Rig): Promise<void> {
  const box = await pair(writer.brew, reader.brew);
  const numbers = Array.from({ length: 200 }, (_, i) => String(i));
  for (const text of numbers) void box.say(text);
  expect(await box.take(200)).toEqual(numbers);
  expect([...writer.errors, ...reader.errors]).toEqual([]);
}

/** A patron that starts after two messages gets the last one. `guest` has no broker of its own. Returns the first patron's box. */
export async function keepsLast(writer: Rig, reader: Rig, guest: Rig): Promise<Box> {
  const box = await pair(writer.brew, reader.brew);
  await box.say('one');
  await box.say('two');
  expect(await box.take(2)).toEqual(['one', 'two']);
  expect(guest.brew.brewerDetails({ topic: TOPIC, brewerId: newId() })).toBeUndefined();
  const late = await pair(writer.brew, guest.brew, box.brewerId);
  expect(await late.next()).toBe('two');
  expect(late.all[0]!.retained).toBe(true);
  expect(Buffer.isBuffer(late.all[0]!.frame)).toBe(false);
  return box;
}

/** A patron that starts after a message gets no earlier one. */
export async function keepsNothing(writer: Rig, reader: Rig, brewerId: string): Promise<string> {
  const late = await pair(writer.brew, reader.brew, brewerId);
  // `late` has its answer when a later patron on the same connection has its own.
  const next = await pair(writer.brew, reader.brew);
  await next.say('next');
  expect(await next.next()).toBe('next');
  const text = newId();
  await late.say(text);
  expect(await late.next()).toBe(text);
  return text;
}

/**
 * Patrons of one client move here from another brew: two before the brewer knows, the third after. Each gets what it
 * missed, once, and nothing that only the others missed.
 */
export async function givesMissed(writer: Rig, reader: Rig, other: Rig): Promise<void> {
  const box = await pair(writer.brew, other.brew);
  const { brewerId, details } = box;
  const mover = () => {
    const { receive, next, take, all } = receiver();
    const patronId = newId();
    const come = () => reader.brew.startPatron({ topic: TOPIC, brewerId, patronId, details, receive });
    const match = (...texts: string[]) => {
      const missed = texts.map((text) => rawFrame(TOPIC, brewerId, text));
      writer.brew.startBrewer({ topic: TOPIC, brewerId, patronId, details: reader.brew.patronDetails({ topic: TOPIC, patronId })!, missed });
    };
    return { come, match, next, take, all };
  };
  const [early, twin, third] = [mover(), mover(), mover()];
  await box.say('two');
  expect(await box.next()).toBe('two');
  early.come();
  expect(await early.next()).toBe('two');
  await box.say('three');
  expect(await early.next()).toBe('three');
  twin.come();
  expect(await twin.next()).toBe('three');
  // More than fits into one answer.
  const large = ['a', 'b', 'c'].map((letter) => letter.repeat(400_000));
  early.match(...large, 'one', 'two', 'three');
  twin.match('one', 'two', 'three');
  await box.say('four');
  expect(await early.take(5)).toEqual([...large, 'one', 'four']);
  expect(await twin.take(3)).toEqual(['one', 'two', 'four']);
  third.match('three', 'four');
  await box.say('five');
  expect([await early.next(), await twin.next()]).toEqual(['five', 'five']);
  third.come();
  expect(await third.take(3)).toEqual(['three', 'four', 'five']);
  await box.say('six');
  expect([await early.next(), await twin.next(), await third.next()]).toEqual(['six', 'six', 'six']);
  expect(await box.take(4)).toEqual(['three', 'four', 'five', 'six']);
  expect([early, twin, third, box].map(({ all }) => all.length)).toEqual([9, 6, 4, 5]);
  expect([writer, reader, other].flatMap(({ errors }) => errors)).toEqual([]);
}

/** A patron that starts late gets all frames that wait for it, though together they are longer than the broker lets a message be. */
export async function answersInParts(writer: Rig, reader: Rig, other: Rig): Promise<void> {
  const box = await pair(writer.brew, other.brew);
  const { brewerId, details } = box;
  const patronId = newId();
  writer.brew.startBrewer({ topic: TOPIC, brewerId, patronId, details: reader.brew.patronDetails({ topic: TOPIC, patronId })! });
  const texts = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((letter) => letter.repeat(20_000));
  for (const text of texts) void box.say(text);
  expect(await box.take(texts.length)).toEqual(texts);
  const { receive, take } = receiver();
  reader.brew.startPatron({ topic: TOPIC, brewerId, patronId, details, receive });
  expect(await take(texts.length)).toEqual(texts);
  expect([writer, reader, other].flatMap(({ errors }) => errors)).toEqual([]);
}

/**
 * Both ends of a brew of this name report that the broker is down, and then that it is up again. Returns their box when
 * 'meanwhile' was accepted.
 */
export async function comesBack(name: string, writer: Rig, reader: Rig, broker: { kill(): unknown }, restart: () => Promise<unknown>): Promise<Box> {
  const box = await pair(writer.brew, reader.brew);
  await box.say('before');
  expect(await box.next()).toBe('before');
  await broker.kill();
  await Promise.all([writer.state(false), reader.state(false)]);
  expect(writer.states[0]).toEqual({ brew: name, up: false, scope: {} });
  expect(reader.states[0]?.scope).toEqual({ brewerId: box.brewerId, patronId: box.patronId });
  const meanwhile = box.say('meanwhile');
  await restart();
  await meanwhile;
  await Promise.all([writer.state(true), reader.state(true)]);
  return box;
}

/** A broker is back, and the patron later than its brewer: it gets what was brewed meanwhile all the same. The `url` of `reader` leads through the proxy. */
export async function comesBackLater(writer: Rig, reader: Rig, proxy: FaultProxy, broker: { kill(): unknown }, restart: () => Promise<unknown>): Promise<void> {
  const box = await pair(writer.brew, reader.brew);
  await box.say('before');
  expect(await box.next()).toBe('before');
  proxy.refuses = () => true;
  await broker.kill();
  await Promise.all([writer.state(false), reader.state(false)]);
  const numbers = Array.from({ length: 100 }, (_, i) => String(i));
  const accepted = numbers.map((text) => box.say(text));
  await restart();
  await writer.state(true);
  await Promise.all(accepted);
  proxy.refuses = () => false;
  await reader.state(true);
  await box.say('after');
  expect(await box.take(101)).toEqual([...numbers, 'after']);
  expect([writer, reader].flatMap(({ errors }) => errors.map(({ code }) => code))).toEqual(['CONNECTION_LOST', 'CONNECTION_LOST']);
}

/**
 * The page of both ends is put away: their connections are closed, and none is made until they return. Then they go on, and what was brewed
 * meanwhile is sent. Nothing is reported. `connections`: how many there are at the broker.
 */
export async function rests(writer: Rig, reader: Rig, connections: () => number): Promise<void> {
  const box = await pair(writer.brew, reader.brew);
  await box.say('before');
  expect(await box.next()).toBe('before');
  for (const { brew } of [writer, reader]) brew.rest!();
  const waits = ['one', 'two'].map((text) => box.say(text));
  const late = await pair(writer.brew, reader.brew);
  waits.push(late.say('late'));
  await expect.poll(connections, { timeout: 10_000 }).toBe(0);
  for (const { brew } of [writer, reader]) brew.wake!();
  await Promise.all(waits);
  // The patron is told of the last one, if it is back later than its brewer.
  for (;;) if ((await box.next()) === 'two') break;
  expect(await late.next()).toBe('late');
  await box.say('after');
  expect(await box.next()).toBe('after');
  expect(connections()).toBe(2);
  expect([writer, reader].flatMap(({ errors, states }) => [...errors, ...states])).toEqual([]);
}

/** The page is put away while its broker does not answer: the dial ends, and the next one begins when the page returns. */
export async function restsWhileDialling(rig: (port: number) => Rig, isEnded: boolean, clean: (() => unknown)[]): Promise<void> {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  clean.push(() => silent.close());
  const { brew, errors, states } = rig((silent.address() as AddressInfo).port);
  const dialled = once(silent, 'connection') as Promise<[Socket]>;
  await brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
  const [socket] = await dialled;
  socket.on('error', () => undefined).resume();
  clean.push(() => socket.destroy());
  const ended = once(socket, 'close');
  brew.rest!();
  if (isEnded) await ended;
  const again = once(silent, 'connection') as Promise<[Socket]>;
  brew.wake!();
  const [next] = await again;
  next.on('error', () => undefined).resume();
  clean.push(() => next.destroy());
  expect([...errors, ...states]).toEqual([]);
}

/**
 * A broker is silent, and the page wakes up: the client gives the connection up after 3 s, and goes on over a new one. A broker that answers is
 * kept. `url` of `writer` leads through the proxy.
 */
export async function isChecked(writer: Rig, reader: Rig, proxy: FaultProxy): Promise<void> {
  const box = await pair(writer.brew, reader.brew);
  await box.say('before');
  expect(await box.next()).toBe('before');
  const begun = performance.now();
  for (let i = 0; i < 3; i++) reader.brew.wake!();
  proxy.blackhole('both');
  for (let i = 0; i < 3; i++) writer.brew.wake!();
  await writer.error('CONNECTION_LOST');
  const took = performance.now() - begun;
  expect(took).toBeGreaterThan(2900);
  // Without a check it takes 10 s at least.
  expect(took).toBeLessThan(9000);
  await box.say('after');
  expect(await box.next()).toBe('after');
  expect(reader.errors).toEqual([]);
  expect(proxy.dials).toHaveLength(2);
}

/** Wrong credentials are reported as refused, without being shown, and brew() is rejected then. */
export async function isRefused(wrong: Rig, reader: Rig, sentence: RegExp): Promise<void> {
  const box = await pair(wrong.brew, reader.brew);
  const error = await wrong.error('UNAUTHORIZED');
  expect(error.message).toMatch(sentence);
  expect(JSON.stringify([error.message, error.details])).not.toContain('wrong');
  expect(await wrong.state(false)).toMatchObject({ up: false, scope: {} });
  await rejected(Promise.resolve().then(() => box.say('x')), 'UNAUTHORIZED');
}

/** A broker comes back that now refuses these credentials: a client with only patrons reports that, though it has reported the outage. */
export async function isRefusedLater(writer: Rig, reader: Rig, broker: { kill(): unknown }, restart: () => Promise<unknown>): Promise<void> {
  const box = await pair(writer.brew, reader.brew);
  await box.say('before');
  expect(await box.next()).toBe('before');
  await broker.kill();
  await reader.error('CONNECTION_LOST');
  await restart();
  await reader.error('UNAUTHORIZED');
  expect(reader.errors.map(({ code }) => code)).toEqual(['CONNECTION_LOST', 'UNAUTHORIZED']);
}

/**
 * There is no broker at this port: that is reported once, and the port is dialled repeatedly. A server that listens there later ends each connection.
 * Returns the error.
 */
export async function isDialledOn(rig: Rig, port: number, clean: (() => unknown)[]): Promise<PubkeeperError> {
  await rig.brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
  const error = await rig.error('CONNECT_FAILED');
  await rig.state(false);
  const other = createServer((socket) => socket.on('error', () => undefined).destroy()).listen(port, '127.0.0.1');
  clean.push(() => other.close());
  for (let dials = 0; dials < 3; dials++) await once(other, 'connection');
  expect(rig.errors).toEqual([error]);
  return error;
}

/** The right credentials, `me` and `right`, are accepted, and do not appear in the details. */
export async function isLetIn(writer: Rig, reader: Rig): Promise<void> {
  const box = await pair(writer.brew, reader.brew);
  expect(JSON.stringify(box.details)).not.toMatch(/me:|right/);
  await box.say('let in');
  expect(await box.next()).toBe('let in');
}

/** More is brewed at once than the broker can take: brew() first returns promises, then throws. */
export async function fillsUp(writer: Rig, reader: Rig): Promise<void> {
  const box = await pair(writer.brew, reader.brew);
  await box.say('one');
  const text = 'x'.repeat(512 * 1024);
  let waits = 0;
  const fill = (): void => {
    for (let i = 0; i < 200; i++) if (box.say(text)) waits++;
  };
  thrown(fill, 'BUFFER_FULL');
  expect(waits).toBeGreaterThan(10);
}

/** A proxy to a broker that delays data by 100 ms in each direction, and what clients have sent through it, as Latin-1. */
export async function farAway(clean: (() => unknown)[], port: number): Promise<{ port: number; sent: () => string }> {
  const proxy = await FaultProxy.listen(() => port);
  clean.push(() => proxy.close());
  proxy.delayMs = 100;
  const sent: Buffer[] = [];
  proxy.sent = (bytes) => void sent.push(bytes);
  return { port: proxy.port, sent: () => Buffer.concat(sent).toString('latin1') };
}

/** 300 pairs begin at once, half of them sealed, and each patron gets its frame once. Returns how many pairs there were. */
export async function carriesMany(writer: Rig, reader: Rig): Promise<number> {
  const key = Buffer.alloc(32);
  const pairs = await Promise.all(Array.from({ length: 300 }, (_, i) => pair(writer.brew, reader.brew, newId(), `demo.many.n${i}`)));
  const frames = pairs.map(({ brewerId }, i) =>
    i % 2 ? rawFrame(TOPIC, brewerId, String(i)) : sealedFrame(Buffer.from(String(i)), { topic: TOPIC, brewerId, key, epoch: '0011223344556677', sequence: 0 }),
  );
  await Promise.all(pairs.map(({ brewerId }, i) => writer.brew.brew(brewerId, frames[i]!)));
  await Promise.all(pairs.map(({ next }) => next()));
  // When this message has come, any answer that was sent twice has come, too.
  const last = await pair(writer.brew, reader.brew);
  void last.say('last');
  expect(await last.next()).toBe('last');
  pairs.forEach(({ all }, i) => expect(all.map(({ frame }) => Buffer.from(frame))).toEqual([Buffer.from(frames[i]!)]));
  expect([...writer.errors, ...reader.errors]).toEqual([]);
  return pairs.length + 1;
}
