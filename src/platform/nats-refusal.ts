import { createConnection } from 'node:net';
import { cancel, wait } from '../core/host.js';

/** How long to listen to a server that has ended a connection, in ms, connecting included. */
const PATIENCE = 2000;
/** The port of an address that names none, as for the library. */
const PORT = 4222;
/** What a server says before anything else is shorter than this, in characters. */
const LONGEST = 64 * 1024;

/**
 * Why a NATS server ends each new connection, if it says so. A server that has too many connections tells that before the client has
 * written anything. But the library writes at once, and then knows only that the connection was reset.
 * @param server such as `nats://10.0.0.1:4222`
 * @param failure what the library says
 * @param gone aborted when nobody needs to know any more
 */
export async function refusalOf(server: string | undefined, failure: unknown, gone?: AbortSignal): Promise<Error | undefined> {
  if (!server || gone?.aborted || !(failure instanceof Error) || !/EPIPE|ECONNRESET|undefined error/.test(failure.message)) return undefined;
  const { hostname, port } = new URL(server);
  const said = await new Promise<string>((resolve) => {
    let text = '';
    const socket = createConnection({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || PORT, ...(gone && { signal: gone }) });
    // The total time: a server that sends a little now and then would be listened to for ever.
    const timer = wait(PATIENCE, () => socket.destroy());
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text.length > LONGEST) socket.destroy();
      else if (text.includes('-ERR')) socket.end();
    });
    socket.on('error', () => undefined).on('close', () => {
      cancel(timer);
      resolve(text);
    });
  });
  const why = /^-ERR '([^'\r\n]+)'/m.exec(said)?.[1];
  return why === undefined ? undefined : new Error(why, { cause: failure });
}
