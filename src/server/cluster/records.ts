import type { BrewDetails, BrewerConfig } from '../../core/packet.js';
import { readId } from '../../core/id.js';
import type { Down } from '../down-brews.js';
import { isTopic, isTopicPattern } from '../../core/topic.js';

// A registration as servers share it with each other: JSON under a key of the registry, `<server>.<kind>.<id>`. It was checked
// by the server that its client is connected to; here only its shape is checked.

export type Kind = 'brewer' | 'patron';

export type { Down } from '../down-brews.js';

interface Common {
  readonly id: string;
  readonly brews: readonly BrewDetails[];
  readonly down: readonly Down[];
  /** When it was registered, by the shared clock: of two registrations of one id the later one counts. */
  readonly at: number;
}

export interface BrewerRecord extends Common {
  readonly kind: 'brewer';
  /** The literal topic. */
  readonly topic: string;
  readonly config: BrewerConfig;
}

export interface PatronRecord extends Common {
  readonly kind: 'patron';
  /** The pattern. */
  readonly topic: string;
  /** The patterns of the topics that the patron may read. */
  readonly reads: readonly string[];
}

export type RegistryRecord = BrewerRecord | PatronRecord;

/** What a key of the registry is about. */
export interface RecordName {
  readonly server: string;
  readonly kind: Kind;
  readonly id: string;
}

const LETTERS: Readonly<Record<Kind, string>> = { brewer: 'b', patron: 'p' };

/** The key of a registration. */
export const keyOf = ({ server, kind, id }: RecordName): string => `${server}.${LETTERS[kind]}.${id}`;

/** The key under which a server shows that the registry works for it. */
export const pulseKey = (server: string): string => `${server}.s`;

/** What a pulse tells. */
export interface Pulse {
  /** Whether the registry holds everything that this server had registered when it last read the registry. */
  readonly isWhole: boolean;
  /** How many registrations of this server the registry holds before this pulse; undefined while some of them are being written. */
  readonly size: number | undefined;
}

/** The value under that key. `count`: a number that changes each time. */
export const pulseOf = (count: number, { isWhole, size }: Pulse): string => `${count}${size === undefined ? '' : `/${size}`}${isWhole ? WHOLE : ''}`;

export function readPulse(value = ''): Pulse {
  const [, size] = /^\d+\/(\d+)/.exec(value) ?? [];
  return { isWhole: value.endsWith(WHOLE), size: size === undefined ? undefined : Number(size) };
}

const WHOLE = '+';

/** The server that a key belongs to. */
export const serverOf = (key: string): string => key.slice(0, key.indexOf('.'));

/** Reads the key of a registration; undefined for a pulse, and for any other key. */
export function readKey(key: string): RecordName | undefined {
  const [server, letter, id, ...more] = key.split('.');
  const kind = letter === 'b' ? 'brewer' : letter === 'p' ? 'patron' : undefined;
  if (!server || !kind || !id || more.length || readId(id) !== id) return undefined;
  return { server, kind, id };
}

export function encodeRecord({ topic, brews, down, at, ...record }: RegistryRecord): string {
  return JSON.stringify({
    topic,
    brews,
    at,
    ...(down.length && { down }),
    ...(record.kind === 'brewer' ? { config: record.config } : { reads: record.reads }),
  });
}

/** Reads the value of a key; undefined when it is no registration. */
export function decodeRecord({ kind, id }: RecordName, text: string): RegistryRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { topic, brews, at, down = [], config, reads } = value;
  if (typeof topic !== 'string' || typeof at !== 'number' || !isList(brews, isBrew) || !isList(down, isDown)) return undefined;
  const common = { id, topic, brews, down, at };
  if (kind === 'brewer') return isTopic(topic) && isObject(config) ? { kind, config: config as BrewerConfig, ...common } : undefined;
  return isTopicPattern(topic) && isList(reads, isTopicPattern) ? { kind, reads, ...common } : undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isBrew = (value: unknown): value is BrewDetails => isObject(value) && isText(value['name']);
const isDown = (value: unknown): value is Down => isList(value, isText) && (value.length === 1 || value.length === 2);

function isList<T>(value: unknown, is: (item: unknown) => item is T): value is T[] {
  return Array.isArray(value) && value.every(is);
}
