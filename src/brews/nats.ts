import { dial, load, reachable } from '#nats';
import { BrokerBrew } from './internal/broker-brew.js';
import { readCommon, readPlace, readUrls } from './internal/broker-options.js';
import type { Place } from './internal/broker-way.js';
import { invalidOption } from './internal/options.js';

/** The options of a {@link NatsBrew}. */
export interface NatsBrewOptions {
  /**
   * A NATS server, or several of one cluster: `nats://host:4222`, `tls://…`, `ws://host:8080` or `wss://…`, all of one kind; pages
   * can use only the latter two. Servers that those announce are used too. Without a `url`, a client cannot brew; it can
   * subscribe at the servers that brewers name.
   */
  readonly url?: string | readonly string[] | undefined;
  /** Other addresses of the same network, for patrons: those of its WebSockets, if `url` is not a WebSocket. */
  readonly alternatives?: readonly string[] | undefined;
  /** The user name for the servers. Default: the one in `url`, if any. */
  readonly username?: string | undefined;
  /** The password for the servers. Default: the one in `url`, if any. */
  readonly password?: string | undefined;
  /** A token, in place of user name and password. */
  readonly token?: string | undefined;
  /** Whether a patron that comes later first gets the brewer's last frame. Default true. */
  readonly lastValue?: boolean | undefined;
  /** The first part of all subjects. Default `pubkeeper`. */
  readonly prefix?: string | undefined;
  /** The name of the brew in registrations. Default `nats`. Use another name to keep two networks apart. */
  readonly name?: string | undefined;
}

/** A server says at the beginning of a connection how long a message may be; until then, what is brewed together is sent in short ones. */
const UNTIL_SAID = 4096;

const TCP = ['nats:', 'tls:'];

/**
 * Data over NATS, by its own library (the packages `nats-core` and `transport-node` of `@nats-io`): TCP in Node, WebSocket
 * everywhere. Each brewer publishes to the subject `<prefix>.<topic>.<brewer id>`, so that NATS can grant rights by topic. When
 * the connection to a server is lost, it goes on with another server of the cluster. Credentials are sent to this client's own
 * servers only.
 *
 * Errors, as `error` events of the client: `BREW_DEPENDENCY`, `CONNECT_FAILED`, `CONNECTION_LOST`, `UNAUTHORIZED`, `FORBIDDEN`, `BREW_FAILED`.
 * From `brew()`: `BUFFER_FULL`, `BREW_FAILED`, and the two of those above that are final: `BREW_DEPENDENCY`, `UNAUTHORIZED`.
 */
export class NatsBrew extends BrokerBrew {
  /** @throws {PubkeeperError} `OPTION_INVALID` */
  constructor(given?: NatsBrewOptions | null) {
    const options = given ?? {};
    const { url, alternatives = [] } = options;
    const { name, prefix, lastValue } = readCommon('NatsBrew', '.', 'nats', ['token'], options);
    if (Array.isArray(url) && !url.length) throw invalidOption('NatsBrew', 'url must be an address, or a list of them', url);
    const list = typeof url === 'string' ? [url] : (url ?? []);
    // Servers of a list are dialled in one way: in a list that begins otherwise, tls:// would not mean TLS.
    const mixed = (addresses: readonly string[]): boolean => new Set(addresses.map((address) => /^\w+:/.exec(address)?.[0])).size > 1;
    const { urls, credentials, advertised } = readUrls('NatsBrew', TCP, list, alternatives, options);
    if (mixed(urls)) throw invalidOption('NatsBrew', 'url must be of one kind, with the same word before ://', urls.join(', '));
    const known = new Set<string>();
    super({
      kind: 'NatsBrew',
      name,
      urls,
      credentials,
      separator: '.',
      lastValue: lastValue ? 'brewer' : 'none',
      most: UNTIL_SAID,
      dial: (target, owner, host) => dial(target, owner, host, known),
      load: () => load(urls[0]?.startsWith('ws') ?? false),
      addressOf: (topic, brewerId) => `${prefix}.${topic}.${brewerId}`,
      details: ({ address, join }) => ({ name, ...advertised, subject: address, join }),
      read: (details, brewerId) => ({ ...readPlace(details, details.subject, brewerId, TCP, '.'), kept: false }),
      reachable: ({ tcp, ws }: Place) => reachable(tcp, ws),
    });
  }
}
