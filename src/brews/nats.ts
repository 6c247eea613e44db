import { dial, load, reachable } from '#nats';
import { BrokerBrew, type Place } from './internal/broker-brew.js';
import { invalidOption, readCommon, readPlace, readUrls } from './internal/broker-options.js';

/** The options of a {@link NatsBrew}. */
export interface NatsBrewOptions {
  /**
   * A server of NATS, or several of one cluster: `nats://host:4222`, `tls://…`, `ws://host:8080` or `wss://…`; pages of
   * browsers reach the latter two only. All of one kind. Servers that these tell of are used too. Without it a client can
   * subscribe, at the servers that brewers name, and not brew.
   */
  readonly url?: string | readonly string[] | undefined;
  /** Other addresses of the same network, told to patrons: those of its WebSockets, if `url` is none. */
  readonly alternatives?: readonly string[] | undefined;
  /** For the servers. Default: the name in `url`, if there is one. */
  readonly username?: string | undefined;
  /** For the servers. Default: the password in `url`, if there is one. */
  readonly password?: string | undefined;
  /** Instead of name and password. */
  readonly token?: string | undefined;
  /** Whether a patron that comes later gets the brewer's last frame first. Default true. */
  readonly lastValue?: boolean | undefined;
  /** What subjects begin with. Default `pubkeeper`. */
  readonly prefix?: string | undefined;
  /** What the brew is called in registrations. Default `nats`. Another name keeps two networks apart. */
  readonly name?: string | undefined;
}

const TCP = ['nats:', 'tls:'];

/**
 * Data over NATS, by its own library (the packages `nats-core` and `transport-node` of `@nats-io`): TCP in Node, WebSocket
 * everywhere. Each brewer publishes to the subject `<prefix>.<topic>.<brewer id>`, so that NATS can grant topics. When the
 * server that it is connected to is lost, goes on with another of the cluster. Credentials never leave this client but
 * to its own servers.
 *
 * Errors, by the client's `error` event: `BREW_DEPENDENCY`, `CONNECT_FAILED`, `CONNECTION_LOST`, `UNAUTHORIZED`, `FORBIDDEN`, `BREW_FAILED`.
 * From `brew()`: `BUFFER_FULL`, `BREW_FAILED`, and of those above what ends it for good: `BREW_DEPENDENCY`, `UNAUTHORIZED`.
 */
export class NatsBrew extends BrokerBrew {
  /** @throws {PubkeeperError} `OPTION_INVALID` */
  constructor(given?: NatsBrewOptions | null) {
    const options = given ?? {};
    const { url, alternatives = [] } = options;
    const { name, prefix, lastValue } = readCommon('NatsBrew', '.', 'nats', 'token', options);
    if (Array.isArray(url) && !url.length) throw invalidOption('NatsBrew', 'url must be an address, or a list of them', url);
    const list = typeof url === 'string' ? [url] : (url ?? []);
    const { urls, credentials, advertised } = readUrls('NatsBrew', TCP, list, alternatives, options);
    const known = new Set<string>();
    super({
      kind: 'NatsBrew',
      name,
      urls,
      credentials,
      separator: '.',
      lastValue: lastValue ? 'brewer' : 'none',
      dial: (target, owner, host) => dial(target, owner, host, known),
      load: () => load(urls[0]?.startsWith('ws') ?? false),
      addressOf: (topic, brewerId) => `${prefix}.${topic}.${brewerId}`,
      details: ({ address, join }) => ({ name, ...advertised, subject: address, join }),
      read: (details, brewerId) => ({ ...readPlace(details, details.subject, brewerId, TCP, '.'), kept: false }),
      reachable: ({ tcp, ws }: Place) => reachable(tcp, ws),
    });
  }
}
