import type { Complete } from '../core/complete.js';
import { type ErrorCode, PubkeeperError } from '../core/errors.js';
import { PacketType } from '../core/packet.js';
import type { Packet } from '../core/packet.js';
import type { Usage } from './known-client.js';
import type { DropReason } from './stats.js';

/** What one client may use of the server. Everything has a default; each refusal is counted in `stats().drops`. */
export interface Limits {
  /** Packets that a client may send before it is authenticated; default 1: its CLIENT_AUTHENTICATE. */
  readonly packetsBeforeAuth?: number | undefined;
  /**
   * TCP connections from one address (IPv6: from one /64); default 256. Without this option loopback has no limit, since
   * all connections through a proxy on this machine come from there. If given, the limit holds for loopback too.
   */
  readonly connectionsPerAddress?: number | undefined;
  /** Patrons and brewers of one connection, and in `secured` brewers for which a relay connection publishes; default 10,000. */
  readonly registrations?: number | undefined;
  /** Bytes of all registrations of one connection together; default 16 MiB. */
  readonly registeredBytes?: number | undefined;
  /**
   * Pairs that the patrons and brewers of one connection make; default 10,000,000: a gateway with a thousand topics that ten
   * thousand dashboards read. A connection that has reached the limit can register no more. The last registration may exceed it, so
   * that one brewer of any number of patrons is never refused.
   */
  readonly pairs?: number | undefined;
  /** Brews of one patron or brewer; default 32. */
  readonly brewsPerRegistration?: number | undefined;
  /** Topics that one relay connection may join; default 10,000. */
  readonly joinedTopics?: number | undefined;
  /** Characters of a topic or a pattern; default 255. */
  readonly topicLength?: number | undefined;
  /** Segments of a topic or a pattern; default 32. */
  readonly topicSegments?: number | undefined;
  /** `**` in a pattern; default 8. */
  readonly doubleWildcards?: number | undefined;
  /** Control packets, pings and pongs of one connection per second; default 2,000. The rest is read later: nothing is lost. */
  readonly packetsPerSecond?: number | undefined;
  /** Control packets that one connection may send at once before that limit applies; default 40,000, so that a client can register everything again. */
  readonly packetBurst?: number | undefined;
  /** WebSocket messages, pings and pongs of one relay connection per second, and twice as many at once; default 100,000. The rest is read later. */
  readonly relayMessagesPerSecond?: number | undefined;
  /** Bytes of one relay connection per second, and as many at once; default 512 MiB. The rest is read later. */
  readonly relayBytesPerSecond?: number | undefined;
  /** Last values that the relay keeps; default 10,000. */
  readonly retainedValues?: number | undefined;
  /** Bytes of last values that the relay keeps; default 64 MiB. */
  readonly retainedBytes?: number | undefined;
  /**
   * Bytes that may wait for one reader of the relay, unless a single message is longer; default 1 MiB. When a quarter of
   * them waits, the publisher is read later, as long as the reader reads, so that a burst is not lost. In a cluster 16 times as many may
   * wait, because publishers at other servers do not slow down. A control connection is cut when 16 times as many wait for it.
   */
  readonly bufferedBytes?: number | undefined;
  /**
   * What happens to a relay connection for which more than `bufferedBytes` waits. `'drop'` (default): once it has read what waits, it gets the
   * newest frame of each topic that it missed. `'cut'`: it is closed with 4413, and has 2 s to answer the close.
   */
  readonly slowReader?: 'drop' | 'cut' | undefined;
}

/** The limits with all defaults. `connectionsPerAddress` stays undefined if it was not given, because its default depends on the address. */
export interface LimitSettings extends Complete<Omit<Limits, 'connectionsPerAddress'>> {
  readonly connectionsPerAddress: number | undefined;
}

/** Checks a whole number: name, value, default, least and most. */
type Count = (name: string, value: unknown, fallback: number, least: number, most: number) => number;

const MiB = 1024 * 1024;
const MOST = 1e9;
const MOST_BYTES = 1e12;

type Numbers = Exclude<keyof Limits, 'slowReader'>;

/** Each number of `limits`: its default, the least and the most that it may be. */
export const LIMITS: Readonly<Record<Numbers, readonly [fallback: number, least: number, most: number]>> = {
  packetsBeforeAuth: [1, 1, MOST],
  connectionsPerAddress: [256, 1, MOST],
  registrations: [10_000, 1, MOST],
  registeredBytes: [16 * MiB, 1024, MOST_BYTES],
  pairs: [10_000_000, 1, MOST],
  brewsPerRegistration: [32, 1, MOST],
  joinedTopics: [10_000, 1, MOST],
  topicLength: [255, 1, MOST],
  topicSegments: [32, 1, MOST],
  doubleWildcards: [8, 0, MOST],
  packetsPerSecond: [2_000, 1, MOST],
  packetBurst: [40_000, 1, MOST],
  relayMessagesPerSecond: [100_000, 1, MOST],
  relayBytesPerSecond: [512 * MiB, 1024, MOST_BYTES],
  retainedValues: [10_000, 0, MOST],
  retainedBytes: [64 * MiB, 0, MOST_BYTES],
  bufferedBytes: [MiB, 1024, MOST_BYTES],
};

/** The numbers of `limits`, checked by `count`; `slowReader` is checked by the caller. */
export function readLimits(limits: Limits, count: Count): LimitSettings {
  const read = Object.fromEntries(
    Object.entries(LIMITS).map(([key, bounds]) => [key, count(`limits.${key}`, limits[key as Numbers], ...bounds)]),
  ) as Record<Numbers, number>;
  const unknown = Object.keys(limits).find((key) => key !== 'slowReader' && !Object.hasOwn(LIMITS, key));
  if (unknown !== undefined) {
    const known = [...Object.keys(LIMITS), 'slowReader'].join(', ');
    throw new PubkeeperError('OPTION_INVALID', `There is no option "limits.${unknown}": the limits are ${known}.`, { option: `limits.${unknown}` });
  }
  const { connectionsPerAddress, slowReader = 'drop' } = limits;
  return { ...read, connectionsPerAddress: connectionsPerAddress === undefined ? undefined : read.connectionsPerAddress, slowReader };
}

/** How many bytes a packet may have before authentication: as many as version 1.0 allows. To parse a MiB of JSON can take a tenth of a second. */
export const MOST_BEFORE_AUTH = 0xffff + 8;

/** Which limit a packet exceeds, and what to say about it. */
export interface Excess {
  readonly reason: DropReason;
  readonly code: ErrorCode;
  readonly message: string;
}

/** How deeply a payload may be nested: very deep nesting would overflow the stack when it is written as JSON again. Brews need only a few levels. */
const MAX_DEPTH = 32;

const isDeep = (value: unknown, left = MAX_DEPTH): boolean =>
  typeof value === 'object' && value !== null && (!left || Object.values(value).some((inner) => isDeep(inner, left - 1)));

/** How many characters the name of a brew may have; real names are much shorter. */
const MAX_NAME = 255;

/** The limit that a packet of `length` bytes exceeds; undefined when it exceeds none. `usage`: what else its client has registered. */
export function excessOf(packet: Packet, length: number, limits: LimitSettings, usage: () => Usage): Excess | undefined {
  const { type, payload } = packet;
  if (type === PacketType.BREW_STATE && payload.brew.length > MAX_NAME) {
    return { reason: 'brews', code: 'LIMIT_EXCEEDED', message: `The name of a brew has at most ${MAX_NAME} characters, not ${payload.brew.length}: shorten it.` };
  }
  if (type !== PacketType.BREWER_REGISTER && type !== PacketType.PATRON_REGISTER) return undefined;
  const { topic, brews } = payload;
  const excess = (reason: DropReason, message: string): Excess => ({ reason, code: 'LIMIT_EXCEEDED', message });
  if (topic.length > limits.topicLength) {
    return excess('topic-length', `A topic has at most ${limits.topicLength} characters here, not ${topic.length}: shorten it.`);
  }
  let segments = 1;
  for (const character of topic) if (character === '.') segments++;
  if (segments > limits.topicSegments) {
    return excess('topic-segments', `A topic has at most ${limits.topicSegments} segments here, not ${segments}: join some.`);
  }
  const wild = topic.split('.').filter((segment) => segment === '**').length;
  if (wild > limits.doubleWildcards) {
    return excess('double-wildcards', `A pattern has at most ${limits.doubleWildcards} times "**" here, not ${wild}: use fewer.`);
  }
  if (brews.length > limits.brewsPerRegistration) {
    return excess('brews', `A patron or brewer has at most ${limits.brewsPerRegistration} brews here, not ${brews.length}: name fewer.`);
  }
  if (isDeep(payload)) {
    return excess('nesting', `A registration has at most ${MAX_DEPTH} levels of lists and objects: nest them less deeply.`);
  }
  const { count, bytes, pairs } = usage();
  if (count >= limits.registrations) {
    const message = `A connection has at most ${limits.registrations} patrons and brewers here: unregister some, or open another one.`;
    return excess('registrations', message);
  }
  if (bytes + length > limits.registeredBytes) {
    const message = `The patrons and brewers of a connection have at most ${limits.registeredBytes} bytes together here: shorten or unregister some.`;
    return excess('registered-bytes', message);
  }
  if (pairs >= limits.pairs) {
    const message = `The patrons and brewers of a connection make at most ${limits.pairs} pairs here: unregister some, or open another one.`;
    return excess('pairs', message);
  }
  return undefined;
}
