import { PubkeeperError } from './errors.js';
import { fromUtf8 } from './host.js';

/** A message, as a patron's callback and `for await` receive it. */
export class Message {
  /** The literal topic that it was brewed on, not the patron's pattern. */
  readonly topic: string;
  /** 32 hex digits. */
  readonly brewerId: string;
  /** The decrypted data. May be a view of a larger buffer that is shared: copy it before you change or transfer it. */
  readonly data: Uint8Array<ArrayBuffer>;
  /**
   * Whether it is a last value: what was brewed last before this patron came. Always false over transports that do not mark last
   * values: a `LocalBrew`, and relay protocol 1.0, unless the value comes from another patron of this client.
   */
  readonly retained: boolean;
  /** The number of the message, from 0, if its brewer is sealed; else undefined. */
  readonly sequence: number | undefined;

  constructor(topic: string, brewerId: string, data: Uint8Array<ArrayBuffer>, retained: boolean, sequence: number | undefined) {
    this.topic = topic;
    this.brewerId = brewerId;
    this.data = data;
    this.retained = retained;
    this.sequence = sequence;
  }

  /** The data as text. Bytes that are not UTF-8 become U+FFFD. */
  text(): string {
    return fromUtf8(this.data);
  }

  /**
   * The data parsed as JSON. It may be anything that the brewer sent: check it.
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
