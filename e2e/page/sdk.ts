// Runs in the page: the functions that the suite calls from outside, with JSON as arguments and results.
import type * as Bundle from '../../src/index.js';
import type { CipherName, ClientOptions, Message, PubkeeperClient, PubkeeperError } from '../../src/index.js';
import type { Counts, Probe } from './probe.js';

declare const Pubkeeper: typeof Bundle;
declare const probe: Probe;

/** A received message in a form that JSON can express. */
export interface Received {
  readonly topic: string;
  readonly brewerId: string;
  readonly text: string;
  readonly bytes: number[];
}

/** How a connection attempt ended. */
export type Outcome = { readonly state: string } | { readonly code: string; readonly message: string; readonly details: string };

export interface Order {
  readonly received: number;
  /** The number of the first message that came out of order; -1 if all came in order. */
  readonly wrongAt: number;
  readonly dropped: Readonly<Record<string, number>>;
}

const QUICK = { delayMs: 20, maxDelayMs: 50 };

let client: PubkeeperClient;
let opened = false;
let states: string[] = [];
const errors: string[] = [];
const inbox: Message[] = [];
let arrived: (() => void) | undefined;

const once = <Event>(subscribe: (listener: (event: Event) => void) => () => void): Promise<Event> =>
  new Promise((resolve) => {
    const undo = subscribe((event) => {
      undo();
      resolve(event);
    });
  });

function brewer(topic: string, cipher: CipherName) {
  const made = client.addBrewer(topic, { cipher });
  const matched = made.isMatched ? Promise.resolve() : once((listener) => made.on('matched', listener)).then(() => undefined);
  return { made, matched };
}

export const sdk = {
  environment: () => ({
    isSecureContext,
    subtle: typeof crypto.subtle,
    randomUUID: typeof crypto.randomUUID,
    getRandomValues: typeof crypto.getRandomValues,
  }),

  /** Makes the client that the other functions use. */
  open(options: Pick<ClientOptions, 'server' | 'token' | 'reconnect' | 'connectTimeoutMs'>): void {
    client = new Pubkeeper.PubkeeperClient({ reconnect: QUICK, ...options });
    opened = true;
    client.on('state', (state) => states.push(state));
    client.on('error', ({ code }) => errors.push(code));
  },

  async connect(): Promise<Outcome> {
    try {
      await client.connect();
      return { state: client.state };
    } catch (error) {
      const { code, message, details } = error as PubkeeperError;
      // Shows the error on the page, as an application would.
      document.body.append(message);
      return { code, message, details: JSON.stringify(details) };
    }
  },

  state: () => client.state,
  errors: () => errors,

  /** Resolves when the client has been in all these states, in this order, since the last call. */
  async passed(...wanted: string[]): Promise<string[]> {
    const seen = (): boolean => {
      let at = 0;
      for (const state of states) if (state === wanted[at]) at++;
      return at === wanted.length;
    };
    while (!seen()) await once((listener) => client.on('state', listener));
    const past = states;
    states = [];
    return past;
  },

  /** Adds a patron whose messages go to the inbox. */
  read(pattern: string): string {
    return client.addPatron(pattern, (_, message) => {
      inbox.push(message);
      arrived?.();
    }).patronId;
  },

  /** Takes that many messages out of the inbox as soon as they are there. */
  async take(count: number): Promise<Received[]> {
    while (inbox.length < count) await new Promise<void>((resolve) => (arrived = resolve));
    return inbox.splice(0, count).map((message) => ({
      topic: message.topic,
      brewerId: message.brewerId,
      text: message.text(),
      bytes: [...message.data],
    }));
  },

  /** Brews text, JSON and bytes, in this order, as soon as the brewer is matched. */
  async brewAll(topic: string, cipher: CipherName, text: string, json: unknown, bytes: number[]): Promise<string> {
    const { made, matched } = brewer(topic, cipher);
    await matched;
    await made.brewText(text);
    await made.brewJSON(json);
    await made.brew(Uint8Array.from(bytes));
    return made.brewerId;
  },

  /** Sends back on `to` what comes on `from`, with all bits inverted. */
  async echo(from: string, to: string, cipher: CipherName): Promise<void> {
    const { made, matched } = brewer(to, cipher);
    client.addPatron(from, (data) => made.brew(data.map((byte) => byte ^ 0xff)));
    await matched;
  },

  /** Starts to read numbers that should come in order; `ordered` waits for the last. */
  expectOrder(pattern: string, count: number): void {
    let wrongAt = -1;
    let received = 0;
    const patron = client.addPatron(pattern, (_, message) => {
      if (Number(message.text()) !== received && wrongAt < 0) wrongAt = received;
      if (++received === count) finish();
    });
    let finish!: () => void;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    order = finished.then(() => ({ received, wrongAt, dropped: patron.dropped }));
  },
  ordered: (): Promise<Order> => order,

  /** Brews numbers without a pause, of mixed lengths so that both crypto engines are used. */
  async brewNumbers(topic: string, cipher: CipherName, count: number): Promise<void> {
    const { made, matched } = brewer(topic, cipher);
    await matched;
    const accepted: Promise<void>[] = [];
    for (let i = 0; i < count; i++) accepted.push(made.brewText(String(i).padEnd(i % 7 ? 16 : 1500)));
    await Promise.all(accepted);
  },

  async disconnect(): Promise<string> {
    await client.disconnect();
    return client.state;
  },

  /** Disconnects, so that nothing of this page causes an error in the next. */
  async end(): Promise<void> {
    if (opened) await client.disconnect();
  },

  counts: (): Counts => probe.counts(),
  problems: () => probe.problems,
};

let order: Promise<Order>;

Object.assign(globalThis, { sdk });
export type Sdk = typeof sdk;
