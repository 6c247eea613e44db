import type { WebSocket } from 'ws';
import type { Logger } from '../core/host.js';
import type { BrewDetails, Packet } from '../core/packet.js';
import type { Authenticator } from './auth.js';
import { Barrier } from './barrier.js';
import { ClockWatch } from './clock-watch.js';
import type { Cluster } from './cluster/cluster.js';
import { Directory } from './cluster/directory.js';
import type { RemotePeer } from './cluster/directory.js';
import { registered, unregister } from './cluster/record-packets.js';
import type { ReplicaOwner } from './cluster/replica.js';
import { Departures } from './departures.js';
import type { Handshake } from './handshake.js';
import type { Heartbeat } from './heartbeat.js';
import type { Excess, LimitSettings } from './limits.js';
import { Matchmaker, type BrewStated } from './matchmaker.js';
import { errorPacket } from './match.js';
import type { Match, Outgoing } from './match.js';
import { isReached } from './own-address.js';
import { isNowhere, reachedBy, type OwnName } from './own-relay.js';
import type { MatchListener } from './pairs.js';
import { isRegister, taken } from './refusals.js';
import type { Outbox } from './outbox.js';
import { ControlSession } from './session.js';
import { Stamp } from './stamp.js';
import type { Drops } from './stats.js';
import type { Tickets } from './tickets.js';
import type { Work } from './turns.js';

export interface ControlPlaneOptions {
  readonly authenticator: Authenticator;
  readonly drops: Drops;
  readonly outbox: Outbox;
  readonly limits: LimitSettings;
  /** Issues tickets for the own relay, in the profile `secured`; else undefined. */
  readonly tickets: Tickets | undefined;
  readonly ticketSeconds: number;
  readonly heartbeat: Heartbeat;
  /** The heartbeat interval that clients are told, in milliseconds. */
  readonly heartbeatMs: number;
  /** How long a connection may take to authenticate, in milliseconds. */
  readonly authMs: number;
  /** How long a connection has to give a sign of life when another connection wants one of its ids, in milliseconds. */
  readonly probeMs: number;
  /** How long a PATRON_NOTIFY waits for a JOIN at most, in milliseconds. */
  readonly holdMs: number;
  readonly logger: Logger;
  /** How many relay connections have joined the topic of this key, in a cluster on the relays of all servers. */
  readonly joined: (key: string) => number;
  /** Whether a brewer's details name the own relay; `authority` is the Host by which the brewer's client reached us. */
  readonly ownRelay: (brew: BrewDetails, authority: string) => boolean;
  /** Told of every match that begins or ends. */
  readonly listener: MatchListener<Peer>;
  /** The cluster that this server is part of, if any. */
  readonly cluster: Cluster | undefined;
}

/** In how many steps all tickets are renewed. */
const RENEWAL_STEPS = 100;
/** How often the clock is watched, in milliseconds; twice in a ticket's life where that is more often. */
const WATCH_MS = 5_000;
/** Over how long a renewal is spread that cannot wait, in milliseconds; over a quarter of a ticket's life where that is shorter. */
const HURRY_MS = 5_000;

/** A client as the matchmaker knows it: connected to this server, or registered at another server of its cluster. */
export type Peer = ControlSession | RemotePeer;

/** The control server: its connections, the matchmaker that they share, and the barrier that its packets pass. */
export class ControlPlane {
  /** The authenticator in use. Each reload makes a new object, even for the same authenticator, because what it accepts may have changed. */
  gate: { readonly by: Authenticator };
  readonly drops: Drops;
  readonly outbox: Outbox;
  readonly limits: LimitSettings;
  readonly heartbeatMs: number;
  readonly authMs: number;
  readonly probeMs: number;
  readonly logger: Logger;
  readonly matchmaker: Matchmaker<Peer>;
  readonly #barrier: Barrier<Peer>;
  readonly #directory: Directory<ControlSession> | undefined;
  readonly #heartbeat: Heartbeat;
  readonly #stamp: Stamp<Peer> | undefined;
  readonly #ownName: (brewerId: string, patronId: string) => OwnName;
  readonly #renewal: NodeJS.Timeout | undefined;
  readonly #watch: NodeJS.Timeout | undefined;
  readonly #tickets: Tickets | undefined;
  readonly #ticketSeconds: number;
  #spread: NodeJS.Timeout | undefined;
  readonly #sessions = new Set<ControlSession>();
  readonly #departures: Departures<ControlSession>;

  constructor(options: ControlPlaneOptions) {
    this.gate = { by: options.authenticator };
    this.drops = options.drops;
    this.outbox = options.outbox;
    this.limits = options.limits;
    this.heartbeatMs = options.heartbeatMs;
    this.authMs = options.authMs;
    this.probeMs = options.probeMs;
    this.logger = options.logger;
    this.#heartbeat = options.heartbeat;
    this.#tickets = options.tickets;
    this.#ticketSeconds = options.ticketSeconds;
    const { listener, joined, ownRelay, holdMs, tickets, ticketSeconds, cluster } = options;
    const isOwn = (brew: BrewDetails, client: Peer): boolean =>
      isNowhere(brew) || (client instanceof ControlSession && ownRelay(brew, client.handshake.authority));
    const own = ({ brew, brewer }: Match<Peer>): boolean => isOwn(brew, brewer.client);
    this.#ownName = (brewerId, patronId) => {
      const match = this.matchmaker.pair(brewerId, patronId);
      if (!match || !own(match)) return undefined;
      const { client } = match.brewer;
      return client instanceof ControlSession && isReached(match.brew, client.handshake.authority) ? 'reached' : 'named';
    };
    if (tickets) {
      this.#stamp = new Stamp(tickets, ticketSeconds, own);
      this.#renewal = setInterval(() => this.#renew(), ticketSeconds * 500).unref();
      // Tickets that clients hold may have expired then, and who connects to the relay again would be refused until the next renewal.
      const clock = new ClockWatch(ticketSeconds * 125);
      this.#watch = setInterval(() => clock.wasSetForward() && this.#renew(HURRY_MS), Math.min(WATCH_MS, ticketSeconds * 500)).unref();
    }
    const barrier = new Barrier<Peer>({
      send: (item) => this.#send(item),
      joined,
      holdMs,
      own,
      late: () => this.drops.add('late-join'),
    });
    this.#barrier = barrier;
    const directory = (): Directory<ControlSession> | undefined => this.#directory;
    this.matchmaker = new Matchmaker({
      matched(match) {
        barrier.matched(match);
        directory()?.changed(match);
        listener.matched(match);
      },
      unmatched(match) {
        barrier.unmatched(match);
        directory()?.changed(match);
        listener.unmatched(match);
      },
    });
    this.#directory = cluster && this.#join(cluster, isOwn);
    this.#departures = new Departures<ControlSession>({
      registrations: (client) => this.matchmaker.client(client),
      receive: (client, packet) => this.receive(client, packet, 0),
      gone: (client) => {
        this.#pass(this.matchmaker.gone(client));
        this.#directory?.gone(client);
      },
    });
  }

  #join(cluster: Cluster, isOwn: (brew: BrewDetails, client: Peer) => boolean): Directory<ControlSession> {
    let isTold = false;
    return new Directory<ControlSession>({
      matchmaker: this.matchmaker,
      clock: cluster.clock,
      pass: (items) => this.#pass(items),
      isOwn,
      share: (record) => cluster.registry.share(record),
      claim: (kind, id, at) => cluster.registry.claim(kind, id, at),
      unshare: (kind, id) => cluster.registry.unshare(kind, id),
      isThere: (server) => cluster.isThere(server),
      later: (run) => void setImmediate(run),
      opaque: () => {
        if (!isTold) this.logger.warn('The authenticator does not say which patterns its rights allow to read ("reads"): patrons with wildcards are matched at this server only.');
        isTold = true;
      },
      tell: (session, kind, id) => {
        const subject = kind === 'brewer' ? { brewer_id: id } : { patron_id: id };
        session.deliver(errorPacket('REGISTERED_TWICE', taken(kind, id), subject));
      },
      tooLong(session, kind, id) {
        // The ERROR does not name the id as its subject: a client would take the registration for refused, but at this server it counts.
        session.deliver(errorPacket('LIMIT_EXCEEDED', `The ${kind} ${id} is too long for the registry of this cluster: it is matched at this server only. Shorten its details.`));
      },
    });
  }

  get connections(): number {
    return this.#sessions.size;
  }

  /** How many PATRON_NOTIFYs wait for a JOIN. */
  get held(): number {
    return this.#barrier.held;
  }

  /** Takes a WebSocket that has just been opened. */
  accept(socket: WebSocket, handshake: Handshake): void {
    const session = new ControlSession(this, socket, handshake);
    this.#sessions.add(session);
    this.#heartbeat.add(session);
  }

  /** Handles a packet of an authenticated client. `length`: the packet's length in bytes. */
  receive(session: ControlSession, packet: Packet, length: number): void {
    this.#directory?.before(session, packet);
    this.#pass(this.matchmaker.receive(session, packet, length));
    this.#directory?.after(session, packet);
  }

  /** Handles a BREW_STATE, which may be about millions of pairs: a step of it, and returns the next one. */
  move(session: ControlSession, packet: BrewStated): Work | undefined {
    const steps = this.matchmaker.moves(session, packet);
    const step = (): Work | undefined => {
      const { value, done } = steps.next();
      this.#pass(value);
      return done || !this.#sessions.has(session) ? undefined : step;
    };
    const next = step();
    this.#directory?.after(session, packet);
    return next;
  }

  /** Refuses a packet of an authenticated client because it exceeds a limit. */
  refuse(session: ControlSession, packet: Packet, excess: Excess): void {
    this.drops.add(excess.reason);
    if (isRegister(packet)) this.#pass(this.matchmaker.refuse(session, packet, excess));
    else session.deliver(errorPacket(excess.code, excess.message));
  }

  /** The other connection to this server that holds the id which `packet` would register, if there is one. */
  rival(session: ControlSession, packet: Packet): ControlSession | undefined {
    const rival = this.matchmaker.rival(session, packet);
    return rival instanceof ControlSession ? rival : undefined;
  }

  /** Takes the registrations at other servers of the cluster; undefined without a cluster. */
  get elsewhere(): ReplicaOwner | undefined {
    return this.#directory;
  }

  /**
   * A connection has ended. May be called twice. If it has very many pairs, it is removed in steps.
   * @param wanted a registration that another connection waits to make: its id is free at once
   */
  gone(session: ControlSession, wanted?: Packet): void {
    this.#sessions.delete(session);
    this.#heartbeat.delete(session);
    this.#departures.begin(session);
    const name = wanted && registered(wanted);
    if (name && this.matchmaker.client(session)) this.receive(session, unregister(name.kind, name.id), 0);
  }

  /** Replaces the authenticator: closes connections whose token it does not know, or to which it gives other rights. */
  reload(authenticator: Authenticator): void {
    this.gate = { by: authenticator };
    for (const session of this.#sessions) session.recheck();
  }

  /** A relay connection has joined the topic of this key. */
  arrived(key: string): void {
    this.#barrier.arrived(key);
  }

  #pass(items: readonly Outgoing<Peer>[]): void {
    // Clients of other servers are told by their own server.
    this.#barrier.pass(items.filter(({ client }) => client instanceof ControlSession));
  }

  #send({ client, packet }: Outgoing<Peer>): void {
    if (client instanceof ControlSession) client.deliver(reachedBy(client.handshake, this.#stamp?.put(packet, this.matchmaker) ?? packet, this.#ownName));
  }

  /** Replaces the ticket keys, and gives every pair a ticket that is signed with the first of them. */
  replaceKeys(keys: readonly Uint8Array[]): void {
    this.#tickets?.replace(keys);
    this.#renew();
  }

  /**
   * Gives all pairs fresh tickets. This begins at half of a ticket's life and is spread over a quarter of it, or `mostMs` if that is less,
   * so that neither this server nor the relay has to do it all at once.
   */
  #renew(mostMs = Infinity): void {
    const renewals = this.#stamp?.renewals(this.matchmaker, (match) => this.#barrier.heard(match));
    if (!renewals) return;
    // Counts the registrations at other servers too: `renewals` goes through them as well, and only `#send` leaves them out.
    const { allBrewers, allPatrons } = this.matchmaker;
    const share = Math.ceil((allBrewers.size + allPatrons.size) / RENEWAL_STEPS);
    clearInterval(this.#spread);
    this.#spread = setInterval(() => {
      for (let i = 0; i < share; i++) {
        const { done, value } = renewals.next();
        if (done) return clearInterval(this.#spread);
        if (value) this.#send(value);
      }
    }, Math.min(mostMs, this.#ticketSeconds * 250) / RENEWAL_STEPS).unref();
  }

  /** Stops all timers. Call it when all connections have ended, because then the barrier holds nothing. */
  close(): void {
    this.#departures.finish();
    for (const timer of [this.#renewal, this.#watch, this.#spread]) clearInterval(timer);
  }
}
