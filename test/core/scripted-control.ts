import type { Brew, BrewerPair, PatronPair } from '../../src/core/brew.js';
import { PubkeeperClient } from '../../src/core/client.js';
import type { ClientOptions } from '../../src/core/client-options.js';
import type { PubkeeperError } from '../../src/core/errors.js';
import { Network, type PairSocket } from '../socket-pair.js';
import { strictEncode, type StrictPacket } from '../strict-server.js';

type Peer = Record<string, unknown>;

/** A control server in this process, on a socket pair. The test decides who matches whom. */
export class ScriptedControl {
  readonly network = new Network();
  readonly packets: StrictPacket[] = [];
  /** The answers to registrations: the brewers for the id of a patron, the patrons for that of a brewer. */
  readonly peers = new Map<string, Map<string, Peer>>();
  /** Whether it accepts connections. */
  up = true;
  /** Whether it answers registrations. */
  answers = true;

  constructor() {
    this.network.onSocket = (socket) => queueMicrotask(() => (this.up ? socket.open() : socket.end()));
    this.network.received = (socket, data) => {
      const packet = { type: data[0]!, payload: JSON.parse(Buffer.from(data.subarray(8)).toString()) as Peer };
      this.packets.push(packet);
      queueMicrotask(() => this.#answer(packet, socket));
    };
  }

  send(packet: StrictPacket): void {
    this.network.last.deliver(strictEncode(packet));
  }

  /** Cuts the connection. */
  cut(): void {
    this.network.last.end(1006);
  }

  ofType(type: number): Peer[] {
    return this.packets.filter((packet) => packet.type === type).map(({ payload }) => payload);
  }

  peersOf(id: string): Map<string, Peer> {
    const known = this.peers.get(id) ?? new Map<string, Peer>();
    this.peers.set(id, known);
    return known;
  }

  #answer({ type, payload }: StrictPacket, socket: PairSocket): void {
    const reply = (answer: StrictPacket): void => socket.deliver(strictEncode(answer));
    if (type === 1) reply({ type: 2, payload: { authenticated: payload['token'] === 'secret' } });
    if (!this.answers) return;
    const { brewer_id, patron_id } = payload as { brewer_id: string; patron_id: string };
    if (type === 10) reply({ type: 22, payload: { brewer_id, patrons: [...this.peersOf(brewer_id).values()] } });
    if (type === 20) reply({ type: 12, payload: { patron_id, brewers: [...this.peersOf(patron_id).values()] } });
  }
}

/** A brew that records which pairs run, and notices when one is started or stopped twice. */
export class PairBrew implements Brew {
  readonly name: string = 'x';
  readonly running = new Map<string, PatronPair | BrewerPair>();
  readonly log: string[] = [];
  readonly faults: string[] = [];
  closed = 0;
  /** Called by close(). */
  onClose: () => void | Promise<void> = () => undefined;

  attach(): void {}
  brewerDetails(): { name: string } {
    return { name: this.name };
  }
  patronDetails(): { name: string } {
    return { name: this.name };
  }
  startBrewer = (pair: BrewerPair): (() => void) => this.#start('b', pair);
  startPatron = (pair: PatronPair): (() => void) => this.#start('p', pair);
  brew: () => void | Promise<void> = () => undefined;
  close(): void | Promise<void> {
    this.closed++;
    return this.onClose();
  }

  #start(kind: string, pair: PatronPair | BrewerPair): () => void {
    const own = kind === 'p' ? [pair.patronId, pair.brewerId] : [pair.brewerId, pair.patronId];
    const key = own.join('/');
    if (this.running.has(key)) this.faults.push(`${key} started twice`);
    this.running.set(key, pair);
    this.log.push(`+${key}`);
    return () => {
      if (this.running.get(key) !== pair) this.faults.push(`${key} stopped twice`);
      this.running.delete(key);
      this.log.push(`-${key}`);
    };
  }
}

/** A client of a scripted control server, and a log of its events. */
export function controlKit(options: Partial<ClientOptions> = {}) {
  const control = new ScriptedControl();
  const brew = new PairBrew();
  const states: string[] = [];
  const errors: PubkeeperError[] = [];
  const client = new PubkeeperClient({
    server: 'ws://pair/',
    token: 'secret',
    brews: [brew],
    WebSocket: control.network.WebSocket,
    reconnect: { delayMs: 1000, maxDelayMs: 2000, stableMs: 3000, graceMs: 30_000 },
    ...options,
  });
  client.on('state', (state) => states.push(state));
  const unlisten = client.on('error', (error) => errors.push(error));
  return { control, brew, client, states, errors, unlisten };
}

export const brewerInfo = (brewer_id: string, key = ''): Peer => ({
  topic: 'foreign.topic',
  brewer_id,
  brewer_config: key ? { cipher: { mode: 2, key } } : {},
  brew: { name: 'x' },
});
export const patronInfo = (patron_id: string, detail = ''): Peer => ({ topic: 'own.topic', patron_id, brew: { name: 'x', detail } });
