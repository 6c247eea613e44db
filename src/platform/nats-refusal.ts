import { createConnection } from 'node:net';

/** How long to listen to a server that has ended a connection, in ms. */
const PATIENCE = 1000;
/** What a server says before anything else is shorter than this, in characters. */
const LONGEST = 64 * 1024;

/**
 * Why a NATS server ends each new connection, if it says so. A server that has too many connections tells that before the client has
 * written anything. But the library writes at once, and then knows only that the connection was reset.
 * @param server such as `nats://10.0.0.1:4222`
 * @param failure what the library says
 */
export async function refusalOf(server: string | undefined, failure: unknown): Promise<Error | undefined> {
  if (!server || !(failure instanceof Error) || !/EPIPE|ECONNRESET|undefined error/.test(failure.message)) return undefined;
  const { hostname, port } = new URL(server);
  const said = await new Promise<string>((resolve) => {
    let text = '';
    const socket = createConnection({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) });
    socket.setTimeout(PATIENCE, () => socket.destroy());
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text.length > LONGEST || text.includes('-ERR')) socket.end();
    });
    socket.on('error', () => undefined).on('close', () => resolve(text));
  });
  const why = /^-ERR '([^'\r\n]+)'/m.exec(said)?.[1];
  return why === undefined ? undefined : new Error(why, { cause: failure });
}
