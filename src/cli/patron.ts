import { Patron, type Message } from '../index.js';
import { placeOf, type ClientFlags } from './arguments.js';
import { makeBrews } from './brews.js';
import { makeClient, notInTime } from './connect.js';
import { ExitCode } from './exit.js';
import { formatter, wantsColour, type Format } from './format.js';
import { Output } from './output.js';
import { Run } from './run.js';
import type { Tell } from './tell.js';

export interface PatronFlags extends ClientFlags {
  readonly json?: true;
  readonly raw?: true;
  readonly lines?: true;
  readonly count?: number;
}

/** How long a run that was ended from outside waits for the reader of stdout, in ms. */
const PATIENCE = 1000;

/** `pubkeeper patron <pattern>` */
export async function patron(pattern: string, flags: PatronFlags, tell: Tell): Promise<number> {
  const { count = Infinity, timeout, cipher } = flags;
  // Ctrl-C is the normal way to end a patron without --count; one with --count has not done what it was asked to do.
  const run = new Run(tell, (code) => (count === Infinity ? ExitCode.OK : code));
  const output = new Output(process.stdout, () => run.end(ExitCode.OK), (error) => run.fail(error));
  const format = formatter(formatOf(flags), wantsColour(process.stdout, process.env));
  const client = makeClient(flags, await makeBrews(flags.brew, false), run);
  let received = 0;
  let unread = 0;

  const receive = (_data: Uint8Array, message: Message): void => {
    if (run.isOver) return;
    // A patron cannot make its brewers wait: leave out messages that nobody reads, before memory runs out.
    if (!output.write(format(message, new Date()))) return void unread++;
    if (++received >= count) run.end(ExitCode.OK);
  };
  const target = new Patron(pattern, receive, { minCipher: cipher });
  target.on('gap', ({ topic, missing }) => {
    if (missing > 0) tell.note(`${missing} ${missing === 1 ? 'message' : 'messages'} on ${topic} got lost on the way.`);
  });
  client.addPatron(target);

  run.after(timeout, () => {
    const enough = count === Infinity && received > 0;
    const came = `${count === Infinity ? 'No message' : `${received} of ${count} messages`} came within ${timeout} s.`;
    if (!enough) tell.note(received ? came : notInTime(client, flags, came));
    run.end(enough ? ExitCode.OK : ExitCode.TIMEOUT);
  });
  client.connect().then(
    () => run.isOver || tell.note(`Listening for ${pattern} at ${placeOf(flags)}`),
    (error: unknown) => run.fail(error),
  );
  const code = await run.ended;
  // Wait until counted messages are read, as `cat` does; a second Ctrl-C ends that.
  await Promise.all([client.disconnect(), output.flush(received >= count ? undefined : PATIENCE)]);
  unread += output.waiting;
  if (unread && !output.isGone) tell.note(`Standard output was not read: ${unread} of the received messages were not printed, or only in part.`);
  return code;
}

const formatOf = ({ json, raw, lines }: PatronFlags): Format => (json ? 'json' : raw ? 'raw' : lines ? 'lines' : 'human');
