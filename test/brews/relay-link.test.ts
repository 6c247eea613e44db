// A connection to a relay loses no message, and leaves no timer behind. The relay is a socket of this process.
import { expect, it, vi } from 'vitest';
import { WebSocketBrew } from '../../src/brews/websocket.js';
import type { BrewHost } from '../../src/core/brew.js';
import { fakeTime, pass } from '../core/fake-time.js';
import { id, rawFrame } from '../helpers.js';
import { Network, type PairSocket } from '../socket-pair.js';

fakeTime();
const TOPIC = 'a.b';
const RELAY_2 = 'pubkeeper-relay-2';
const FULL = 2 * 1024 * 1024;

function kit() {
  const network = new Network();
  const host = {
    server: 'ws://one/ws',
    losses: 0,
    WebSocket: network.WebSocket,
    reconnect: { delayMs: 100, maxDelayMs: 100, stableMs: 5000, graceMs: 30_000, maxRetries: Infinity },
    logger: undefined,
    report: (): void => undefined,
    dropped: () => undefined,
  } satisfies BrewHost;
  const brew = new WebSocketBrew();
  brew.attach(host);
  const start = () => brew.startBrewer({ topic: TOPIC, brewerId: id(1), patronId: id(2), details: { name: 'websocket' } });
  /** Brews a text, and returns a function that tells whether it was accepted. */
  const say = (text: string): (() => boolean) => {
    let isAccepted = false;
    void Promise.resolve(brew.brew(id(1), rawFrame(TOPIC, id(1), text))).then(() => (isAccepted = true));
    return () => isAccepted;
  };
  return { network, host, brew, start, say };
}

/** The texts that were published to a relay. */
const published = ({ sent }: PairSocket): string[] => sent.flatMap((message) => Buffer.from(message).toString('latin1').match(/said \w+/g) ?? []);

it('messages that wait until the server tells of their pairs are sent when those pairs have ended', async () => {
  const { network, host, start, say } = kit();
  const stop = start();
  network.last.open(RELAY_2);
  host.losses = 1;
  network.last.end();
  await pass(100);
  network.last.open(RELAY_2);
  const isAccepted = say('said held');
  await pass(0);
  expect([isAccepted(), published(network.last)]).toEqual([false, []]);
  stop();
  await pass(0);
  expect([isAccepted(), published(network.last)]).toEqual([true, ['said held']]);
});

it('messages brewed right after the match are sent once the relay is connected, also if control is lost before that', async () => {
  const { network, host, start, say } = kit();
  start();
  const isAccepted = say('said first');
  host.losses = 1;
  network.last.open(RELAY_2);
  await pass(0);
  expect([isAccepted(), published(network.last)]).toEqual([true, ['said first']]);
});

it('if a dial failed and control was lost, messages wait until the server tells of their pairs, as the relay may be a new one', async () => {
  const { network, host, start, say } = kit();
  start();
  const isAccepted = say('said held');
  network.last.end();
  host.losses = 1;
  await pass(100);
  network.last.open(RELAY_2);
  await pass(0);
  expect([isAccepted(), published(network.last)]).toEqual([false, []]);
});

it.each(['rest', 'close'] as const)('messages brewed in the same tick are sent before a %s()', async (how) => {
  const { network, brew, start, say } = kit();
  start();
  network.last.open(RELAY_2);
  say('said x');
  say('said y');
  void brew[how]();
  await pass(0);
  expect(published(network.sockets[0]!)).toEqual(['said x', 'said y']);
});

it('brew() waits each time that the socket is full', async () => {
  const { network, start, say } = kit();
  start();
  const socket = network.last;
  socket.open(RELAY_2);
  for (let time = 0; time < 2; time++) {
    socket.bufferedAmount = FULL;
    const isAccepted = say('said x');
    await pass(20);
    expect(isAccepted()).toBe(false);
    socket.bufferedAmount = 0;
    await pass(5);
    expect(isAccepted()).toBe(true);
  }
});

it('a brew that is closed while its socket is full and no longer used leaves no timer behind', async () => {
  const { network, brew, start, say } = kit();
  const stop = start();
  network.last.open(RELAY_2);
  network.last.bufferedAmount = FULL;
  say('said x');
  stop();
  await pass(0);
  await brew.close();
  await pass(0);
  expect(vi.getTimerCount()).toBe(0);
});

it('a relay that shuts down is reported only while in use, a lost connection always, and a close by this client never', async () => {
  const { network, host, brew, start } = kit();
  const codes: string[] = [];
  host.report = (error?: { readonly code: string }) => void codes.push(error!.code);
  const stop = start();
  network.last.open(RELAY_2);
  network.last.end(1001);
  await pass(100);
  network.last.end();
  expect(codes.splice(0)).toEqual(['CONNECTION_LOST']);
  await pass(100);
  network.last.open(RELAY_2);
  stop();
  await pass(0);
  network.last.end(1001);
  expect(codes).toEqual([]);
  await pass(100);
  network.last.open(RELAY_2);
  network.last.end();
  expect(codes.splice(0)).toEqual(['CONNECTION_LOST']);
  await pass(100);
  network.last.open(RELAY_2);
  await brew.close();
  expect(codes).toEqual([]);
});
