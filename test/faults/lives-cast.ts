import { Brewer, type CipherName, type ClientState, matchTopic, Patron, PubkeeperClient, PubkeeperError } from '../../src/index.js';

// The actors of lives.search.ts: clients with their patrons and brewers, which report everything that must not happen.

export const TOKEN = 'lives';
export const quiet = { warn: () => undefined, error: () => undefined };
const GRACE = 400;
const NEXT: Record<ClientState, readonly ClientState[]> = {
  disconnected: ['connecting'],
  connecting: ['connected', 'disconnected'],
  connected: ['reconnecting', 'disconnected'],
  reconnecting: ['connected', 'disconnected'],
};

/** Reports each item that begins or ends twice. */
function alternating(name: string, problems: string[]) {
  const there = new Set<string>();
  return {
    begins: (id: string) => void (there.has(id) ? problems.push(`${name}: ${id} begins twice`) : there.add(id)),
    ends: (id: string) => void (there.delete(id) || problems.push(`${name}: ${id} ends, and was not there`)),
    there,
  };
}

/** Brewers that encrypt without authentication: a message under a former key may be opened to nonsense, once in 256 times. */
const guessable = new Set<string>();

/** By brewer, the number below which its messages may come after newer ones. */
class Late {
  #since = new Map<string, number>();
  #before = new Map<string, number>();

  add(brewerId: string, next: number): void {
    this.#since.set(brewerId, next);
  }

  has(brewerId: string, number: number): boolean {
    return number < Math.max(this.#since.get(brewerId) ?? 0, this.#before.get(brewerId) ?? 0);
  }

  /** Forgets what was added before the last calm. What was added since may have been accepted, and still be on its way. */
  calm(): void {
    this.#before = this.#since;
    this.#since = new Map();
  }
}

/**
 * Brewers that have moved to another client. Their earlier messages may still be on the way when patrons of the new client
 * get a new message, which they get at once; only with a sealed brewer are the earlier ones dropped then.
 */
export const moved = new Late();

/** Brewers whose client has closed its connections: the next ones may overtake them. With a sealed brewer, that is reported as a gap. */
export const overtaken = new Late();

/** What came of one session of a brewer. */
interface Heard {
  readonly sequences: Set<number>;
  missing: number;
}

export interface Reader {
  readonly patron: Patron;
  readonly pairs: ReturnType<typeof alternating>;
  /** By brewer and epoch. */
  heard: Map<string, Heard>;
  /** By brewer: its numbers, the last of them, its epoch, its first number, whether the brewer has left, and whether the relay may lack the last. */
  numbers: Map<string, { readonly all: Set<number>; last: number; epoch: string; first: number; again: boolean; lacked: boolean }>;
  drops: number;
  aborter: AbortController;
  home: Member;
  ghosts: ReadonlySet<string>;
}

export interface Writer {
  readonly brewer: Brewer;
  readonly pairs: ReturnType<typeof alternating>;
  next: number;
  home: Member;
  /** Peers that may count as matched though they have gone: see `World.read` and `write`. */
  ghosts: ReadonlySet<string>;
}

export class Member {
  readonly client: PubkeeperClient;
  readonly readers: Reader[] = [];
  readonly writers: Writer[] = [];
  /** The number of errors of the link to the relay and of other causes of lost data since the last calm. */
  troubles = 0;
  wanted = true;
  /** The ids that the server has refused to register because another client had them. */
  readonly refused = new Set<unknown>();
  life: { readonly wake: () => void; readonly rest: () => void } | undefined;

  /** @param path by which the proxy knows its control connection; those to the relay have none */
  constructor(
    readonly path: string,
    port: number,
    problems: string[],
    onReset: (member: Member) => void,
  ) {
    const server = `ws://127.0.0.1:${port}${path}`;
    this.client = new PubkeeperClient({
      server,
      token: async () => TOKEN,
      reconnect: { delayMs: 10, maxDelayMs: 40, stableMs: 100, graceMs: GRACE },
      logger: quiet,
      lifecycle: (wake, rest) => {
        if (this.life) problems.push('lifecycle was bound twice');
        this.life = { wake, rest };
        return () => (this.life = undefined);
      },
    });
    let state: ClientState = this.client.state;
    this.client.on('state', (next) => {
      if (!NEXT[state].includes(next)) problems.push(`${state} was followed by ${next}`);
      state = next;
      if (next === 'disconnected') onReset(this);
    });
    this.client.on('error', (error) => {
      if (!(error instanceof PubkeeperError) || ['CALLBACK_FAILED', 'PROTOCOL_ERROR', 'PACKET_INVALID', 'KEY_INVALID'].includes(error.code)) problems.push(String(error));
      if (error.details['url'] !== server) this.troubles++;
      if (error.code === 'REGISTERED_TWICE') this.refused.add(error.details['patron_id'] ?? error.details['brewer_id']);
    });
  }
}

/** A patron, with checks of everything that it receives. */
export function newReader(pattern: string, home: Member, problems: string[]): Reader {
  const patron = new Patron(pattern, (_, message) => {
    const { brewerId: id, topic, sequence, retained } = message;
    const text = message.text();
    if (guessable.has(id) && !text.startsWith('{"number":')) return;
    const { number, epoch, pad } = JSON.parse(text) as { number: number; epoch: string; pad: string };
    const what = `${pattern}: ${number} of ${topic}`;
    if (!matchTopic(pattern, topic) || !reader.pairs.there.has(id)) problems.push(`${what} came, and is not matched`);
    if (pad !== 'x'.repeat(pad.length) || (sequence === undefined) !== !epoch) problems.push(`${what} came otherwise than it was brewed`);
    const had = reader.numbers.get(id) ?? { all: new Set<number>(), last: -1, epoch, first: number, again: false, lacked: false };
    reader.numbers.set(id, had);
    // Without a sequence, a last value that comes again with its brewer cannot be recognised. The relay's last value may also be older than
    // the last message: messages that were lost on a client's link to the relay may have reached the client's own patrons.
    const isAgain = retained && !epoch && had.again && (number === had.last || had.lacked || reader.home.troubles > 0);
    const isLate = (overtaken.has(id, number) && (!epoch || gap < 0)) || (moved.has(id, number) && !epoch);
    if (number <= had.last && !isAgain && !isLate) problems.push(`${what} came${retained ? ' as last value' : ''} after ${had.last}`);
    if (had.epoch !== epoch) had.first = number;
    had.all.add(number);
    had.last = number;
    had.epoch = epoch;
    had.again = had.lacked = false;
    if (sequence === undefined) return;
    const heard = reader.heard.get(id + epoch) ?? { sequences: new Set(), missing: 0 };
    reader.heard.set(id + epoch, heard);
    heard.missing += gap;
    gap = 0;
    heard.sequences.add(sequence);
  });
  // The gap event comes right before the message that shows it.
  let gap = 0;
  const [pairs, aborter] = [alternating(pattern, problems), new AbortController()];
  const reader: Reader = { patron, home, pairs, heard: new Map(), numbers: new Map(), drops: 0, aborter, ghosts: new Set() };
  patron.on('gap', ({ missing }) => (gap = missing));
  patron.on('dropped', ({ reason, count }) => (reader.drops += reason === 'replayed' ? 0 : count));
  patron.on('added', ({ brewerId }) => reader.pairs.begins(brewerId));
  patron.on('removed', ({ brewerId }) => {
    reader.pairs.ends(brewerId);
    const had = reader.numbers.get(brewerId);
    if (had) had.again = true;
  });
  return reader;
}

/** A brewer, with checks of its matches. */
export function newWriter(topic: string, cipher: CipherName, home: Member, problems: string[]): Writer {
  const brewer = new Brewer(topic, { cipher });
  const [pairs, match] = [alternating(topic, problems), alternating(`${topic} is matched`, problems)];
  brewer.on('added', ({ patronId }) => pairs.begins(patronId));
  brewer.on('removed', ({ patronId }) => pairs.ends(patronId));
  brewer.on('matched', () => match.begins(topic));
  brewer.on('unmatched', () => match.ends(topic));
  brewer.on('error', () => undefined);
  if (cipher === 'aes-cbc') guessable.add(brewer.brewerId);
  return { brewer, home, pairs, next: 0, ghosts: new Set() };
}
