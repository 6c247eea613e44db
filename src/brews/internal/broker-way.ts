import type { BrewDetails } from '../../core/index.js';
import type { Credentials, Dial } from './broker-line.js';

/** Where a brewer publishes its frames, as the details of its registration say. */
export interface Place {
  readonly tcp: readonly string[];
  readonly ws: readonly string[];
  /** Where the brewer publishes. Patrons ask at `<address><separator>join`, and are answered at `…to<separator><patron id>`. */
  readonly address: string;
  /** Whether the brewer answers patrons that ask. */
  readonly join: boolean;
  /** Whether the broker keeps the brewer's last frame, and gives it to each subscription once. */
  readonly kept: boolean;
}

/** What differs between kinds of brokers. */
export interface BrokerWay {
  /** The name of the class, such as `MqttBrew`, for error messages. */
  readonly kind: string;
  readonly name: string;
  /** The addresses of this client's own broker, without credentials; empty for a client that only subscribes. */
  readonly urls: readonly string[];
  readonly credentials: Credentials;
  readonly separator: '/' | '.';
  /** Whether a newcomer gets the last value, and whether the broker keeps it. */
  readonly lastValue: 'broker' | 'brewer' | 'none';
  /** How long a message may be, in bytes, as long as the own broker has not said it. */
  readonly most: number;
  readonly dial: Dial;
  /** Rejects with `BREW_DEPENDENCY` when a package is missing. */
  load(): Promise<void>;
  addressOf(topic: string, brewerId: string): string;
  details(place: Pick<Place, 'address' | 'join'>): BrewDetails;
  /** @throws {PubkeeperError} `BREW_CONFIG_INVALID` */
  read(details: BrewDetails, brewerId: string): Place;
  /** Of the addresses that a brewer names, those that this platform can dial, the best first. */
  reachable(place: Place): readonly string[];
}
