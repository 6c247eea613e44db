import { viewOf } from './ciphers/engine.js';
import { PubkeeperError } from './errors.js';
import { fromUtf8Strict, utf8 } from './host.js';
import { readId } from './id.js';

// Control packets (protocol, section 2): an 8-byte header and JSON. They are validated here and nowhere else: what
// `decodePacket` returns has the shape that its type says, with every id in its 32-digit form.

/** The types of control packets, by their names in the protocol (section 2). */
export const PacketType = {
  /** The first to the server: the token. */
  CLIENT_AUTHENTICATE: 1,
  /** The answer: whether it is accepted. */
  CLIENT_AUTHENTICATED: 2,
  /** To the server: a brewer, its configuration and its brews. */
  BREWER_REGISTER: 10,
  /** To the server: it is unregistered. */
  BREWER_UNREGISTER: 11,
  /** To a patron's client: the brewers that it is matched with. */
  BREWER_NOTIFY: 12,
  /** To a patron's client: a match has ended. */
  BREWER_REMOVED: 13,
  /** To the server: a patron, its pattern and its brews. */
  PATRON_REGISTER: 20,
  /** To the server: it is unregistered. */
  PATRON_UNREGISTER: 21,
  /** To a brewer's client: the patrons that it is matched with. */
  PATRON_NOTIFY: 22,
  /** To a brewer's client: a match has ended. */
  PATRON_REMOVED: 23,
  /** Bridging, which this SDK does not take part in; the three below too. */
  SEGMENT_CREATE: 30,
  /** Bridging. */
  SEGMENT_DESTROY: 31,
  /** Bridging. */
  SEGMENT_REGISTER: 32,
  /** Bridging. */
  SEGMENT_CONNECT_BREWER: 33,
  /** To the server, once it is authenticated: the names of the client's brews. */
  BREWS_REGISTER: 40,
  /** To the server: a brew is down, or up again. */
  BREW_STATE: 41,
  /** Either way: what is wrong. */
  ERROR: 99,
} as const;
/** The number of a type of control packets. */
export type PacketType = (typeof PacketType)[keyof typeof PacketType];

/** The version of the control protocol: `'1.0'` limits a payload to 65,535 bytes. */
export type PacketVersion = '1.0' | '1.1';

/** A brew as it stands in a registration or a notification: its name and whatever that brew needs to connect. */
export interface BrewDetails {
  /** The name of the brew, by which both ends are matched. */
  readonly name: string;
  readonly [detail: string]: unknown;
}

/** What a brewer tells its patrons (protocol, section 2): how it encrypts, and keys that we do not know. From the network: check it. */
export interface BrewerConfig {
  /** How it encrypts; missing for plaintext. */
  readonly cipher?: {
    /** 2: AES-CBC. `'AES-GCM'`: sealed. `'NONE'`: plaintext. Others are an application's own. */
    readonly mode: unknown;
    /** In hex: 32, 48 or 64 digits for mode 2, 64 for `'AES-GCM'`. */
    readonly key?: unknown;
    /** In hex, 16 digits; only with `'AES-GCM'`. */
    readonly epoch?: unknown;
  } | null;
  readonly [key: string]: unknown;
}

/** An element of BREWER_NOTIFY (protocol, section 2): one matched brewer. */
export interface BrewerInfo {
  /** The brewer's literal topic, never the pattern. */
  readonly topic: string;
  /** A UUID, with or without dashes. */
  readonly brewer_id: string;
  /** How it encrypts. */
  readonly brewer_config: BrewerConfig;
  /** The brew that was chosen, with what the brewer registered about it. */
  readonly brew: BrewDetails;
}

/** An element of PATRON_NOTIFY (protocol, section 2): one matched patron. */
export interface PatronInfo {
  /** The brewer's literal topic, never the pattern. */
  readonly topic: string;
  /** A UUID, with or without dashes. */
  readonly patron_id: string;
  /** The brew that was chosen, with what the patron registered about it. */
  readonly brew: BrewDetails;
}

interface Payloads {
  1: { token: string };
  2: { authenticated: boolean };
  10: { topic: string; brewer_id: string; brewer_config: BrewerConfig; brews: readonly BrewDetails[] };
  11: { topic: string; brewer_id: string };
  12: { patron_id: string; brewers: readonly BrewerInfo[] };
  13: { topic?: string; patron_id: string; brewer_id: string };
  20: { topic: string; patron_id: string; brews: readonly BrewDetails[] };
  21: { topic: string; patron_id: string };
  22: { brewer_id: string; patrons: readonly PatronInfo[] };
  23: { topic?: string; brewer_id: string; patron_id: string };
  30: object;
  31: object;
  32: object;
  33: object;
  40: { brews: readonly string[]; bridge_mode: boolean };
  41: { brew: string; state: unknown; brewer_id?: unknown; patron_id?: unknown; moves?: unknown };
  99: { message: string };
}

/** A control packet: a union told apart by `type`. Payloads may bear keys that the protocol does not know. */
export type Packet = {
  [Type in PacketType]: {
    /** Its number: see `PacketType`. */
    readonly type: Type;
    /** The JSON behind the header. */
    readonly payload: Readonly<Payloads[Type]>;
  };
}[PacketType];

/** A packet of a type that this version does not know: to be ignored and reported. */
export interface UnknownPacket {
  /** Tells it from a {@link Packet}. */
  readonly type: 'unknown';
  /** The type that it bears. */
  readonly number: number;
}

/** `PATRON_NOTIFY` for 22, and so on; `TYPE_50` for a number that has no name. */
export const packetName = (type: number): string =>
  Object.entries(PacketType).find(([, number]) => number === type)?.[0] ?? `TYPE_${type}`;

/**
 * A heartbeat request from a client to a server of this project, which answers with the same packet. Such servers announce `heartbeat`
 * (in ms) when they authenticate a client. Deployed servers do not, and are never sent one.
 */
export const PING = 60;

export interface Ping {
  readonly type: typeof PING;
  readonly payload: Readonly<Record<string, never>>;
}

/**
 * The bytes of a control packet (protocol, section 2).
 * @param version `'1.1'` by default
 * @throws {PubkeeperError} `PACKET_TOO_LONG` when version 1.0 has no room for the payload
 */
export function encodePacket(packet: Packet | Ping, version: PacketVersion = '1.1'): Uint8Array<ArrayBuffer> {
  const json = utf8(JSON.stringify(packet.payload));
  const length = json.length;
  if (version === '1.0' && length > 0xffff) {
    throw new PubkeeperError(
      'PACKET_TOO_LONG',
      `A packet of ${length} bytes is more than the 65,535 of control protocol 1.0: shorten it.`,
      { type: packet.type, length },
    );
  }
  const bytes = new Uint8Array(8 + length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, packet.type, true);
  view.setUint16(2, length & 0xffff, true);
  if (version !== '1.0') {
    view.setUint8(4, 1);
    view.setUint16(5, length >>> 16, true);
  }
  bytes.set(json, 8);
  return bytes;
}

/**
 * Reads one control packet of either version; the flags in its header tell which (protocol, section 2).
 * @throws {PubkeeperError} `PACKET_INVALID` when it is truncated, longer than it says, not JSON or of the wrong shape
 */
export const decodePacket = (bytes: Uint8Array): Packet | UnknownPacket => decode(bytes, PAYLOADS, packetName);

/**
 * Like {@link decodePacket}, for packets from servers only; any other type is `'unknown'`. So bundles for pages do without the other readers.
 * @param fault called for each brewer or patron of a notification that has the wrong shape and is left out
 */
export const decodeServerPacket = (bytes: Uint8Array, fault: Fault): Packet | UnknownPacket =>
  decode(bytes, FROM_SERVERS, (type) => `packet ${type}`, fault);

function decode(
  bytes: Uint8Array,
  payloads: Readonly<Partial<Record<PacketType, Reader>>>,
  nameOf: (type: number) => string,
  fault?: Fault,
): Packet | UnknownPacket {
  if (bytes.length < 8) throw invalid('a packet', `has ${bytes.length} bytes; its header alone has 8`);
  const view = viewOf(bytes);
  const type = view.getUint16(0, true);
  const name = nameOf(type);
  const length = view.getUint16(2, true) + (view.getUint8(4) & 1 ? view.getUint16(5, true) * 0x10000 : 0);
  if (bytes.length - 8 !== length) throw invalid(name, `announces ${length} payload bytes and bears ${bytes.length - 8}`);
  const read = payloads[type as PacketType];
  if (!read) return { type: 'unknown', number: type };
  let payload: unknown;
  try {
    payload = JSON.parse(fromUtf8Strict(bytes.subarray(8)));
  } catch (cause) {
    throw invalid(name, 'is not JSON in UTF-8', cause);
  }
  read(payload, name, fault);
  return { type, payload } as Packet;
}

const invalid = (what: string, why: string, cause?: unknown): PubkeeperError =>
  new PubkeeperError('PACKET_INVALID', `The other side broke the protocol: ${what} ${why}.`, {}, cause);

/** Called with an error that concerns one element only; the rest is still read. */
type Fault = (error: PubkeeperError) => void;

/** Checks a value and returns what replaces it. Throws when the value has the wrong shape. */
type Reader = (value: unknown, path: string, fault?: Fault) => unknown;

const text: Reader = (value, path) => {
  if (typeof value !== 'string') throw invalid(path, 'is not a string');
  return value;
};
const optionalText: Reader = (value, path) => (value == null ? undefined : text(value, path));
const flag: Reader = (value, path) => {
  if (typeof value !== 'boolean') throw invalid(path, 'is not true or false');
  return value;
};
const id: Reader = (value, path) => {
  const known = readId(value);
  if (!known) throw invalid(path, 'is not a UUID');
  return known;
};
const anything: Reader = (value) => value;
const config: Reader = (value, path) => object({})(value ?? {}, path);

/** With `fault`, invalid elements are reported and left out; without it they make the whole packet invalid. */
const list =
  (read: Reader): Reader =>
  (value, path, fault) => {
    if (!Array.isArray(value)) throw invalid(path, 'is not a list');
    return value.flatMap((item, index) => {
      try {
        return [read(item, `${path}[${index}]`)];
      } catch (error) {
        if (!fault) throw error;
        fault(error as PubkeeperError);
        return [];
      }
    });
  };

/** Other keys are kept as they are; `JSON.parse` makes even `__proto__` a harmless own key. */
const object =
  (fields: Readonly<Record<string, Reader>>): Reader =>
  (value, path, fault) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(path, 'is not an object');
    const record = value as Record<string, unknown>;
    for (const [key, read] of Object.entries(fields)) {
      record[key] = read(Object.hasOwn(record, key) ? record[key] : undefined, `${path}.${key}`, fault);
    }
    return record;
  };

const brew = /* @__PURE__ */ object({ name: text });
const brews = /* @__PURE__ */ list(brew);
const removed = /* @__PURE__ */ object({ topic: optionalText, patron_id: id, brewer_id: id });
const segment = /* @__PURE__ */ object({});

const FROM_SERVERS = /* @__PURE__ */ (() => ({
  2: object({ authenticated: flag }),
  12: object({ patron_id: id, brewers: list(object({ topic: text, brewer_id: id, brewer_config: config, brew })) }),
  13: removed,
  22: object({ brewer_id: id, patrons: list(object({ topic: text, patron_id: id, brew })) }),
  23: removed,
  99: object({ message: text }),
}))();

const PAYLOADS: Readonly<Record<PacketType, Reader>> = /* @__PURE__ */ (() => ({
  ...FROM_SERVERS,
  1: object({ token: text }),
  10: object({ topic: text, brewer_id: id, brewer_config: config, brews }),
  11: object({ topic: text, brewer_id: id }),
  20: object({ topic: text, patron_id: id, brews }),
  21: object({ topic: text, patron_id: id }),
  30: segment,
  31: segment,
  32: segment,
  33: segment,
  40: object({ brews: list(text), bridge_mode: flag }),
  41: object({ brew: text, state: anything }),
}))();
