import type { IncomingMessage } from 'node:http';
import { show } from '../core/id.js';
import { RELAY_BATCH } from '../core/relay.js';
import { AddressBook } from './address-book.js';
import { Descriptors } from './descriptors.js';
import { answerRelayPort } from './http.js';
import { Listener } from './listener.js';
import type { ListenerHooks, TlsFiles } from './listener.js';
import { logFault } from './log.js';
import type { ServerSettings } from './options.js';
import { addressOf, urlHost } from './own-address.js';
import type { Drops } from './stats.js';
import { mayConnect, routeMain, routeRelay } from './upgrade.js';
import type { Route, UpgradeRequest } from './upgrade.js';

// A message is the payload and what is around it: on the relay 40 bytes for its header, 88 for the header of the brew frame and 32
// for what a cipher adds; on control 8 bytes.
export const RELAY_OVERHEAD = 40 + 88 + 32;
/** The longest WebSocket message to the relay, in bytes: at least a batch, because clients send batches whatever `maxMessageBytes` is. */
export const relayPayload = (maxMessageBytes: number): number => Math.max(maxMessageBytes, RELAY_BATCH) + RELAY_OVERHEAD;
const CONTROL_OVERHEAD = 8;

/** The TCP ports of a server: one for everything, and in the split layout another one for the relay. */
export class Ports {
  readonly #settings: ServerSettings;
  readonly #drops: Drops;
  readonly #descriptors: Descriptors;
  readonly #main: Listener;
  readonly #relayOnly: Listener | undefined;
  #mainPort = 0;
  #relayPort: number | undefined;

  constructor(settings: ServerSettings, drops: Drops, hooks: Pick<ListenerHooks, 'accept' | 'answer'>) {
    this.#settings = settings;
    this.#drops = drops;
    const { maxMessageBytes, limits, logger, tls } = settings;
    this.#descriptors = new Descriptors(logger);
    const addresses = new AddressBook(limits.connectionsPerAddress);
    const shared = {
      maxPayload: { control: maxMessageBytes + CONTROL_OVERHEAD, relay: relayPayload(maxMessageBytes) },
      addresses,
      tls,
      crowded: (address: string) => {
        drops.add('connections');
        if (addresses.isNews(address)) {
          logger.warn(`There are more than ${addresses.limit(address)} connections from ${address}: what comes beyond that is refused. If many clients share this address, raise limits.connectionsPerAddress (--connections-per-address).`);
        }
      },
      accept: hooks.accept,
      refused: this.#refused.bind(this),
      fault: (error: unknown) => logFault(logger, 'A port of the server has a fault', error),
    };
    this.#main = new Listener({
      ...shared,
      route: (upgrade) => this.#checkOrigin(upgrade) ?? routeMain(upgrade),
      answer: hooks.answer,
    });
    this.#relayOnly =
      settings.relayPort === undefined
        ? undefined
        : new Listener({
            ...shared,
            route: (upgrade) => this.#checkOrigin(upgrade) ?? routeRelay(upgrade),
            answer: (_request, response) => answerRelayPort(response),
          });
  }

  /** The port of control, relay and plain HTTP; 0 until it is open. */
  get main(): number {
    return this.#mainPort;
  }

  /** The port for the relay only, in the split layout; else undefined. */
  get relay(): number | undefined {
    return this.#relayPort;
  }

  get url(): string {
    return `${this.#origin(this.#mainPort)}/ws`;
  }

  get relayUrl(): string {
    return this.#relayPort === undefined ? `${this.#origin(this.#mainPort)}/brew` : `${this.#origin(this.#relayPort)}/`;
  }

  /** Whether new connections are refused. */
  get isDraining(): boolean {
    return this.#main.isDraining;
  }

  /** @throws {PubkeeperError} `PORT_IN_USE`, or `OPTION_INVALID` when the host or a port cannot be had */
  async listen(): Promise<void> {
    const { port, relayPort, host } = this.#settings;
    await this.#main.listen(port, host);
    this.#mainPort = this.#main.port;
    if (this.#relayOnly) {
      await this.#relayOnly.listen(relayPort ?? 0, host);
      this.#relayPort = this.#relayOnly.port;
    }
  }

  /** Checks whether more connections are possible; call it with each heartbeat. */
  look(): void {
    this.#descriptors.look();
  }

  /** Uses another certificate for new connections. */
  secure(tls: TlsFiles): void {
    this.#main.secure(tls);
    this.#relayOnly?.secure(tls);
  }

  /** Connections that are there may stay for a while; new ones are refused. */
  drain(): void {
    this.#main.isDraining = true;
    if (this.#relayOnly) this.#relayOnly.isDraining = true;
  }

  /** Closes every WebSocket with 1001 and frees the ports. */
  async close(): Promise<void> {
    await Promise.all([this.#main.close(), this.#relayOnly?.close()]);
  }

  #checkOrigin(upgrade: UpgradeRequest): Route | undefined {
    const { allowOrigin, loopback } = this.#settings;
    const { origin } = upgrade;
    const allowed =
      origin !== undefined && allowOrigin ? allowOrigin(origin, upgrade) : mayConnect(upgrade, loopback);
    if (allowed) return undefined;
    // Browsers send "null" as the origin of a page that was opened as a file.
    const sentence = origin === 'null'
      ? 'Pages without an origin (opened as a file, or in a sandbox) may not connect to this server: open them by http.'
      : `Pages of ${show(origin)} may not connect to this server, unless its option origins (--origin) lists them.`;
    return { kind: 'refused', status: 403, sentence };
  }

  #refused(sentence: string, request: IncomingMessage): void {
    this.#drops.add('handshake');
    this.#settings.logger.warn(`A WebSocket from ${addressOf(request)} was refused: ${sentence}`);
  }

  #origin(port: number): string {
    return `${this.#settings.tls ? 'wss' : 'ws'}://${urlHost(this.#settings.host)}:${port}`;
  }
}
