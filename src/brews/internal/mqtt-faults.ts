import { PubkeeperError } from '../../core/index.js';
import { remedy } from './broker-line.js';

/** The CONNACK codes of MQTT 3.1.1 and 5 by which a broker refuses this client. */
const REFUSED = [4, 5, 0x86, 0x87, 0x8a, 0x8c];

/** Why a broker cannot be reached, or does not take this client. */
export function refused(url: string, problem: Error | undefined): PubkeeperError {
  const code: unknown = problem && 'code' in problem ? problem.code : undefined;
  if (typeof code === 'number' && REFUSED.includes(code)) {
    return new PubkeeperError(
      'UNAUTHORIZED',
      `The MQTT broker at ${url} refuses this client (${problem!.message}): check the brew's username and password.`,
      { url },
      problem,
    );
  }
  // A code says more than a sentence that repeats the address, except where it is about a certificate.
  const message = problem?.message || 'no answer';
  const why = typeof code === 'string' && !/certificate/i.test(message) ? code : message;
  return new PubkeeperError('CONNECT_FAILED', `Cannot connect to the MQTT broker at ${url} (${why}): ${remedy(why)}.`, { url }, problem);
}

/**
 * The connection has ended.
 * @param suspect the length of a message that may be the cause, in bytes
 */
export function lost(url: string, cause: Error | undefined, suspect: number | undefined): PubkeeperError {
  const hint = suspect
    ? ` right after a message of ${suspect} bytes: if that happens with each such message, brew shorter ones, or raise the broker's limit, such as max_packet_size`
    : '';
  return new PubkeeperError('CONNECTION_LOST', `The connection to the MQTT broker at ${url} was lost${hint}.`, { url, ...(suspect && { length: suspect }) }, cause);
}
