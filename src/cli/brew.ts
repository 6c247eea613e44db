import type { Readable } from 'node:stream';
import type { Brewer } from '../index.js';
import { watchAcceptance } from './acceptance.js';
import type { ClientFlags } from './arguments.js';
import { makeBrews } from './brews.js';
import { isAway, makeClient, notInTime } from './connect.js';
import { ExitCode, failure, usage } from './exit.js';
import { compactJson, inputError, openInput, readAll, readLines } from './input.js';
import { Run } from './run.js';
import type { Tell } from './tell.js';

export interface BrewFlags extends ClientFlags {
  readonly json?: true;
  readonly file?: string;
  readonly lines?: true;
}

/** How long to wait at the end until what was sent is accepted, in seconds: a matched patron may take 10 s to arrive. */
const ACCEPT = 15;
/** How long to wait after Ctrl-C until the other end has closed the connection too, and so has received what was sent, in ms. */
const PATIENCE = 5000;
/** Errors that mean that a message was not sent, or did not arrive. */
const LOST: readonly string[] = ['BREW_FAILED', 'BUFFER_FULL', 'CONNECTION_CLOSED'];

/** `pubkeeper brew <topic> [text]` */
export async function brew(topic: string, text: string | undefined, flags: BrewFlags, tell: Tell): Promise<number> {
  const { lines, file, timeout, cipher } = flags;
  let waiting = true;
  // Ctrl-C is the normal way to end an endless input of lines; but while no patron has come for them, it is a failure.
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
  /** A broker or relay is or was away, so that what is sent waits for it. */
  let wasAway = false;
  client.on('error', (error) => {
    wasAway ||= isAway(error, flags);
    const { code } = error;
    if (!LOST.includes(code)) return;
    if (isSending) isLost = true;
    // Without a local socket, the brewer is registered without its only brew, and would never be matched.
    else if (flags.brew?.every(({ name }) => name === 'local')) run.end(ExitCode.FAILURE);
    // A connection that nobody uses any more was closed, and what waited for it was dropped.
    if (code === 'CONNECTION_CLOSED') unread();
  });
  const unread = (): void => {
    const error = failure(`What was sent on ${topic} was not accepted before its last patron left: it may be lost.`);
    if (!lines) return run.fail(error);
    // Go on: the other lines are for the next patron.
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
    // Read before connecting: input that cannot be read or is not JSON must not disturb anybody.
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
    if (message) await brewed(brewer, message);
    else {
      stopWatching = watch(brewer);
      await sendLines(brewer);
      stopWatching();
    }
    if (run.isOver) return;
    await taken(brewer);
    // Disconnect before this counts as done: the relay may still refuse the last message.
    await client.disconnect();
  };

  // Waits for a relay or broker that is away as long as it takes: the program that writes the lines may run for months. But this is
  // reported, and limited by --timeout if that is given.
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
        // Accepted while matched: the relay or broker is back, and when a later patron leaves, nothing waits for it any more.
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

  // brew() resolves before this, and disconnect() waits for one second only: a patron may need longer to arrive over a broker.
  const taken = async (brewer: Brewer): Promise<void> => {
    run.after(ACCEPT, () => run.fail(late(ACCEPT)));
    await brewer._flush();
    run.after(undefined);
  };

  // When the last patron leaves, messages that wait for a broker that is away are given up at once without an error: so if the flush
  // ends now, they are lost. A sent message that the broker has not confirmed yet keeps waiting, and does not count as lost. If the broker
  // was never away, only the patron's confirmation is missing: it has what it wanted, and that is slower than the server's notification.
  const abandoned = (brewer: Brewer): void => {
    if (!wasAway) return;
    let isGivenUp = false;
    void brewer._flush()?.then(() => (isGivenUp = true));
    queueMicrotask(() => process.nextTick(() => isGivenUp && unread()));
  };

  // A failure is also an `error` event, which reports it. It concerns this message alone: those before and after it may still arrive.
  const brewed = (brewer: Brewer, message: Uint8Array): Promise<void> => brewer.brew(message).catch(() => void (isLost = true));

  const sendLines = async (brewer: Brewer): Promise<void> => {
    let number = 0;
    for await (const line of readLines(input!)) {
      number++;
      const message = flags.json ? compactJson(line, (why) => failure(`Line ${number} is ${why}.`)) : line;
      // While there is no patron, read no further: the pipe makes its writer wait.
      if (!run.isOver && !brewer.isMatched) {
        limit();
        await patronOf(brewer);
      }
      if (run.isOver) return;
      await brewed(brewer, message);
    }
  };

  send().then(
    // Losses have been reported already.
    () => run.end(isLost ? ExitCode.FAILURE : ExitCode.OK),
    (error: unknown) => run.fail(text === undefined ? inputError(error, file) : error),
  );
  const code = await run.ended;
  stopWatching();
  input?.destroy();
  await client.disconnect();
  // Otherwise the process would wait half a minute for a relay that is stuck.
  if (isInterrupted) setTimeout(unanswered, PATIENCE).unref();
  if (code !== ExitCode.OK || !isLost) return code;
  // After Ctrl-C the lines count as sent only if all that were read have left.
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
