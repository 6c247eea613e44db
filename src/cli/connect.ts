import { type Brew, PubkeeperClient, type DropReason, type PubkeeperError } from '../index.js';
import type { ClientFlags } from './arguments.js';
import { placeOf, requireToken } from './arguments.js';
import { failure } from './exit.js';
import type { Run } from './run.js';

/** Drops that a person can do something about. The others happen in every network, and are details. */
const TOLD: Partial<Record<DropReason, string>> = {
  'too-weak': 'are not encrypted as --cipher asks for',
  malformed: 'are not brew frames',
  'wrong-sender': 'carry the id of another brewer',
  undecryptable: 'cannot be decrypted',
  replayed: 'came twice',
  overflow: 'came faster than they could be decrypted',
};

/** The close code for a WebSocket that has sent a message above the limit. */
const TOO_LONG = 1009;

/** Makes a client whose errors are reported on stderr, and end the run if they are final. */
export function makeClient(flags: ClientFlags, brews: Brew[] | undefined, run: Run): PubkeeperClient {
  const { tell } = run;
  const { server, token } = flags;
  const place = placeOf(flags);
  const client = new PubkeeperClient({
    server,
    token: requireToken(token),
    ...(brews && { brews }),
    logger: {
      debug: (text: unknown) => tell.detail(String(text)),
      warn: (text: unknown) => tell.note(String(text)),
      error: (error: unknown) => tell.error(error),
    },
  });
  let lost = false;
  client.on('state', (state) => {
    if (run.isOver) return;
    if (state === 'reconnecting') tell.note(`The connection to ${place} was lost; reconnecting …`);
    if (state === 'connected' && lost) tell.note(`Connected to ${place} again.`);
    lost = state !== 'connected' && (lost || state === 'reconnecting');
  });
  client.on('error', (error) => {
    if (run.isOver) return;
    if (error.details['code'] === TOO_LONG) run.fail(failure('A message is longer than the server accepts: send it in parts.', error));
    // When disconnected, an error means that nothing is tried again, or that the last message was not sent. CONNECT_FAILED of a brew that
    // was still connecting means neither: what waited for that brew is reported separately, or has gone over another brew.
    else if (isRefusal(error) || (client.state === 'disconnected' && error.code !== 'CONNECT_FAILED')) run.fail(error);
    // Reconnecting has been reported already; and if this side has closed a connection, the command reports what is lost by that.
    else if (client.state === 'reconnecting' || error.code === 'CONNECTION_CLOSED') tell.detail(error.message);
    else tell.error(error);
  });
  client.on('dropped', ({ reason, count }) => {
    const why = TOLD[reason];
    if (why) tell.note(`Not delivered: ${count} that ${why} (${reason}).`);
    else tell.detail(`Not delivered: ${count} (${reason}).`);
  });
  return client;
}

/** Errors that mean that there is no connection. */
const AWAY: readonly string[] = ['CONNECT_FAILED', 'CONNECTION_LOST', 'TIMEOUT'];

/** The details by which errors name a relay, a broker or a local brewer. Some errors of the control server's connection have none of them. */
const PLACES: readonly string[] = ['url', 'urls', 'server', 'address'];

/** Whether there is no connection to a relay, a broker or a local brewer. */
export const isAway = ({ code, details }: PubkeeperError, { server }: Pick<ClientFlags, 'server'>): boolean =>
  AWAY.includes(code) && PLACES.some((name) => details[name] !== undefined) && !server.includes(String(details['url']));

/** What to say when `--timeout` is over: a server that does not answer is a different problem from nobody at the other end. */
export function notInTime({ state }: PubkeeperClient, flags: ClientFlags & { readonly timeout?: number }, otherwise: string): string {
  return state === 'connecting' ? `${placeOf(flags)} did not answer within ${flags.timeout} s: check that a Pubkeeper server runs there.` : otherwise;
}

/** Whether the server has refused the patron or brewer of this command, a broker has refused this client, or its library is missing. */
const isRefusal = ({ code, details }: PubkeeperError): boolean =>
  'patron_id' in details || 'brewer_id' in details || code === 'UNAUTHORIZED' || code === 'BREW_DEPENDENCY';
