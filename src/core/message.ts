import { PubkeeperError } from './errors.js';
import { fromUtf8 } from './host.js';

/** One message, as a patron's callback and `for await` get it. */
export class Message {
  /** The literal topic it was brewed on, never the patron's pattern. */
  readonly topic: string;
  /** 32 hex digits. */
  readonly brewerId: string;
  /** What was brewed, decrypted. May be a view into a larger buffer, which others share: copy it before you change or transfer it. */
  readonly data: Uint8Array<ArrayBuffer>;
  /**
   * Whether it is a last value: what was brewed last before this patron came. False where the transport does not say so: always over a
   * `LocalBrew`, and over relay protocol 1.0 where it comes from the relay and not from another patron of this client.
   */
  readonly retained: boolean;
  /** Counts from 0 in sealed mode; undefined with the other ciphers, which number nothing. */
  readonly sequence: number | undefined;

  constructor(topic: string, brewerId: string, data: Uint8Array<ArrayBuffer>, retained: boolean, sequence: number | undefined) {
    this.topic = topic;
    this.brewerId = brewerId;
    this.data = data;
    this.retained = retained;
    this.sequence = sequence;
  }

  /** The data read as UTF-8. What is not UTF-8 becomes U+FFFD. */
  text(): string {
    return fromUtf8(this.data);
  }

  /**
   * The data read as JSON. Its type is whatever the brewer sent: check it.
   * @throws {PubkeeperError} `DATA_INVALID` when it is not JSON
   */
  json(): unknown {
    try {
      return JSON.parse(this.text().replace(/^\uFEFF/, '')) as unknown;
    } catch (cause) {
      throw new PubkeeperError(
        'DATA_INVALID',
        `A message on ${this.topic} is not JSON: read text() or data.`,
        { topic: this.topic, brewerId: this.brewerId },
        cause,
      );
    }
  }
}
