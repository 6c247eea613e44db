import { dial, load, reachable } from '#mqtt';
import { BrokerBrew } from './internal/broker-brew.js';
import { readCommon, readPlace, readUrls } from './internal/broker-options.js';
import type { Place } from './internal/broker-way.js';
import { invalidOption } from './internal/options.js';

/** The options of an {@link MqttBrew}. */
export interface MqttBrewOptions {
  /**
   * The broker: `mqtt://host:1883`, `mqtts://…`, `ws://host:8083/path` or `wss://…`; pages can use only the latter two.
   * Without a `url`, a client cannot brew; it can subscribe at the brokers that brewers name.
   */
  readonly url?: string | undefined;
  /** Other addresses of the same broker, for patrons: that of its WebSocket, if `url` is not a WebSocket. */
  readonly alternatives?: readonly string[] | undefined;
  /** The user name for the broker. Default: the one in `url`, if any. */
  readonly username?: string | undefined;
  /** The password for the broker. Default: the one in `url`, if any. */
  readonly password?: string | undefined;
  /** `0` (the default): `brew()` does not wait for the broker. `1`: `brew()` resolves when the broker has the message. */
  readonly qos?: 0 | 1 | undefined;
  /**
   * The longest message that the broker takes, in bytes, from 256 on: `brew()` rejects longer ones with `BREW_FAILED`, and short ones that
   * are brewed together are divided. A broker does not say it, and loses longer ones; one that counts whole packets needs as much as
   * the topic and ten bytes more. Default: `brew()` rejects none, and short ones make messages of up to 60,000 bytes.
   */
  readonly maxPayload?: number | undefined;
  /** Whether the broker keeps each brewer's last frame (a retained message) for patrons that come later. Default true. */
  readonly lastValue?: boolean | undefined;
  /** The first part of all MQTT topics. Default `pubkeeper`. */
  readonly prefix?: string | undefined;
  /** The name of the brew in registrations. Default `mqtt`. Use another name to keep two brokers apart. */
  readonly name?: string | undefined;
}

/** The least `maxPayload`: a header and a few messages. */
const LEAST = 256;

const TCP = ['mqtt:', 'mqtts:', 'tcp:', 'ssl:'];

/**
 * Data over an MQTT broker, by MQTT.js (`npm install mqtt`): TCP in Node, WebSocket everywhere. Each brewer publishes to
 * `<prefix>/<topic>/<brewer id>`, with the topic's dots as slashes, so that a broker can grant rights by topic. Credentials
 * are sent to this client's own broker only.
 *
 * Errors, as `error` events of the client: `BREW_DEPENDENCY`, `CONNECT_FAILED`, `CONNECTION_LOST`, `UNAUTHORIZED`, `FORBIDDEN`, `BREW_FAILED`.
 * From `brew()`: `BUFFER_FULL`, `BREW_FAILED`, and the two of those above that are final: `BREW_DEPENDENCY`, `UNAUTHORIZED`.
 */
export class MqttBrew extends BrokerBrew {
  /** @throws {PubkeeperError} `OPTION_INVALID` */
  constructor(given?: MqttBrewOptions | null) {
    const options = given ?? {};
    const { url, alternatives = [], qos = 0, maxPayload = Infinity } = options;
    if (qos !== 0 && qos !== 1) throw invalidOption('MqttBrew', 'qos must be 0 or 1', qos);
    if (maxPayload !== Infinity && !(Number.isInteger(maxPayload) && maxPayload >= LEAST)) {
      throw invalidOption('MqttBrew', `maxPayload must be a whole number of bytes, at least ${LEAST}`, maxPayload);
    }
    const { name, prefix, lastValue } = readCommon('MqttBrew', '/', 'mqtt', ['qos', 'maxPayload'], options);
    const { urls, credentials, advertised } = readUrls('MqttBrew', TCP, url === undefined ? [] : [url], alternatives, options);
    super({
      kind: 'MqttBrew',
      name,
      urls,
      credentials,
      separator: '/',
      lastValue: lastValue ? 'broker' : 'none',
      most: maxPayload,
      dial: (target, owner, host) => dial(target, owner, host, { qos, most: target.credentials ? maxPayload : Infinity }),
      load,
      addressOf: (topic, brewerId) => `${prefix}/${topic.replaceAll('.', '/')}/${brewerId}`,
      details: ({ address, join }) => ({ name, ...advertised, topic: address, join, ...(!lastValue && { last: false }) }),
      read: (details, brewerId) => ({ ...readPlace(details, details.topic, brewerId, TCP, '/'), kept: details.last !== false }),
      reachable: ({ tcp, ws }: Place) => reachable(tcp, ws),
    });
  }
}
