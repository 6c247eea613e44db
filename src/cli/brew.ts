import type { Readable } from 'node:stream';
import type { Brewer } from '../index.js';
import { watchAcceptance } from './acceptance.js';
import type { ClientFlags } from './arguments.js';
import { makeBrews } from './brews.js';
import { makeClient, notInTime } from './connect.js';
import { ExitCode, failure, usage } from './exit.js';
import { compactJson, inputError, openInput, readAll, readLines } from './input.js';
import { Run } from './run.js';
import type { Tell } from './tell.js';

export interface BrewFlags extends ClientFlags {
  readonly json?: true;
  readonly file?: string;
  readonly lines?: true;
}

/** How long the end waits for what was sent to be taken, in seconds: a patron that was matched may be 10 s on its way. */
const ACCEPT = 15;
/** How long one who has pressed Ctrl-C waits until the other end has closed the connection too, and so has what was sent, in ms. */
const PATIENCE = 5000;
/** Errors that mean that something did not leave, or did not arrive. */
const LOST: readonly string[] = ['BREW_FAILED', 'BUFFER_FULL', 'CONNECTION_CLOSED'];
/** Errors that mean that a connection is not there. */
const AWAY: readonly string[] = ['CONNECT_FAILED', 'CONNECTION_LOST', 'TIMEOUT'];

/** `pubkeeper brew <topic> [text]` */
export async function brew(topic: string, text: string | undefined, flags: BrewFlags, tell: Tell): Promise<number> {
  const { lines, file, timeout, cipher } = flags;
  let waiting = true;
  // Ctrl-C is how one ends lines that come without end; it is a failure for what nobody has got.
  let isInterrupted = false;
  const run = new Run(tell, (code) => {
    isInterrupted = true;
    return lines && !waiting ? ExitCode.OK : code;
  });
  const client = makeClient(flags, await makeBrews(flags.brew, true), run);
  let input: Readable | undefined;
  let isSending = false;
  let isLost = false;
  let stopWatching = (): void => undefined;
  /** A broker or relay is or was not there, so that what is sent waits for it. */
  let wasAway = false;
  client.on('error', ({ code, details }) => {
    wasAway ||= AWAY.includes(code) && !flags.server.includes(String(details['url']));
    if (!LOST.includes(code)) return;
    if (isSending) isLost = true;
    // Without a socket it is registered without its only brew: nobody would ever be matched.
    else if (flags.brew?.every(({ name }) => name === 'local')) run.end(ExitCode.FAILURE);
    // A connection that nobody uses any more is closed, with what waits for it.
    if (code === 'CONNECTION_CLOSED') unread();
  });
  const unread = (): void => {
    const error = failure(`What was sent on ${topic} was not accepted before its last patron left: it may be lost.`);
    if (!lines) return run.fail(error);
    // There are others for the next patron.
    if (!run.isOver) tell.error(error);
    isLost = true;
  };

  const limit = (): void =>
    run.after(timeout, () => {
      tell.note(notInTime(client, flags, `No patron of ${topic} came within ${timeout} s.`));
      run.end(ExitCode.TIMEOUT);
    });
  const patronOf = async (brewer: Brewer): Promise<void> => {
    waiting = true;
    if (!brewer.isMatched) {
      tell.note(`Waiting for a patron of ${topic} …`);
      await new Promise<void>((resolve) => brewer.on('matched', () => resolve()));
    }
    waiting = false;
    run.after(undefined);
  };

  const send = async (): Promise<void> => {
    // Read before it connects: what cannot be read or is not JSON must not bother anybody.
    input = text === undefined ? openInput(file) : undefined;
    const message = lines ? undefined : await messageOf(text, input, flags, tell);
    if (run.isOver) return;
    limit();
    const brewer = client.addBrewer(topic, { cipher });
    brewer.on('unmatched', () => abandoned(brewer));
    await client.connect();
    if (run.isOver) return;
    await patronOf(brewer);
    isSending = true;
    if (message) await brewer.brew(message);
    else {
      stopWatching = watch(brewer);
      await sendLines(brewer);
      stopWatching();
    }
    if (run.isOver) return;
    await taken(brewer);
    // Before it counts as done: the relay may still refuse what came last.
    await client.disconnect();
  };

  // A relay or broker that is away is waited for, as long as it takes: what writes the lines may go on for months. But not in silence, and
  // not for longer than one who gives a time wants to.
  const watch = (brewer: Brewer): (() => void) => {
    let isTold = false;
    const most = timeout && Math.max(timeout, ACCEPT);
    return watchAcceptance(brewer, {
      waits: (ms) => {
        if (run.isOver) return;
        if (!isTold) tell.note(`What was sent on ${topic} has not been accepted yet: ${wasAway ? 'the relay or broker is away, or ' : ''}the network or a reader is slow. Waiting …`);
        isTold = true;
        if (most && ms >= most * 1000) run.fail(late(most));
      },
      over: () => {
        // It is back: what a later patron leaves behind is not what waited for it.
        wasAway &&= !brewer.isMatched;
        if (isTold && brewer.isMatched && !run.isOver) tell.note(`Sending on ${topic} again.`);
        isTold = false;
      },
    });
  };
  const unanswered = (): never => {
    tell.error(failure(`The other end did not close the connection within ${PATIENCE} ms: what was sent on ${topic} last may be lost.`));
    process.exit(ExitCode.FAILURE);
  };
  const late = (seconds: number): Error => failure(`What was sent on ${topic} was not accepted within ${seconds} s: it may be lost.`);

  // brew() resolves before, and disconnect() waits for a second only: less than a patron may need to come over a broker.
  const taken = async (brewer: Brewer): Promise<void> => {
    run.after(ACCEPT, () => run.fail(late(ACCEPT)));
    await brewer._flush();
    run.after(undefined);
  };

  // What waits for a broker is given up without an error in the very moment in which its last patron leaves. What the broker
  // has not confirmed yet waits on: its word may be the next that is read, which is looked for no more. Where the broker is there
  // and the patron's own word is waited for, it has left with what it wanted: that word is slower than the server's of its leave.
  const abandoned = (brewer: Brewer): void => {
    if (!wasAway) return;
    let isGivenUp = false;
    void brewer._flush()?.then(() => (isGivenUp = true));
    queueMicrotask(() => process.nextTick(() => isGivenUp && unread()));
  };

  const sendLines = async (brewer: Brewer): Promise<void> => {
    let number = 0;
    for await (const line of readLines(input!)) {
      number++;
      const message = flags.json ? compactJson(line, (why) => failure(`Line ${number} is ${why}.`)) : line;
      // While nobody reads, nothing is read: the pipe makes whoever writes into it wait.
      if (!run.isOver && !brewer.isMatched) {
        limit();
        await patronOf(brewer);
      }
      if (run.isOver) return;
      await brewer.brew(message);
    }
  };

  send().then(
    // What was lost has been told.
    () => run.end(isLost ? ExitCode.FAILURE : ExitCode.OK),
    (error: unknown) => run.fail(text === undefined ? inputError(error, file) : error),
  );
  const code = await run.ended;
  stopWatching();
  input?.destroy();
  await client.disconnect();
  // By itself the process would wait for half a minute for a relay that is stuck.
  if (isInterrupted) setTimeout(unanswered, PATIENCE).unref();
  if (code !== ExitCode.OK || !isLost) return code;
  // Ctrl-C ends lines well only if those that were read have left.
  tell.error(failure(`Not everything that was sent on ${topic} was accepted: some of it may be lost.`));
  return ExitCode.FAILURE;
}

async function messageOf(text: string | undefined, input: Readable | undefined, { json }: BrewFlags, tell: Tell): Promise<Uint8Array> {
  if (!input) {
    const bytes = Buffer.from(text ?? '');
    return json ? compactJson(bytes, (why) => usage(`The text is ${why}: leave out --json to send it as it is.`)) : bytes;
  }
  if ('isTTY' in input && input.isTTY) tell.note('Reading the message from the terminal; end it with Ctrl-D.');
  const bytes = await readAll(input);
  return json ? compactJson(bytes, (why) => failure(`The input is ${why}: leave out --json to send it as it is.`)) : bytes;
}
