import { PubkeeperClient, WebSocketBrew } from 'pubkeeper';
import { NatsBrew } from 'pubkeeper/brews/nats';
import { Tally } from './tally.mjs';

/**
 * A patron that counts messages; the same in the page and in Node.
 * @param {readonly string[]} server
 * @param {string} token
 * @param {(state: string) => void} told
 */
export async function read(server, token, told) {
  const tally = new Tally();
  const client = new PubkeeperClient({
    server,
    token,
    brews: [new NatsBrew(), new WebSocketBrew()],
    reconnect: { delayMs: 500, maxDelayMs: 2000 },
  });
  client.on('state', told);
  client.on('error', (error) => told(error.message));
  const patron = client.addPatron('demo.**', (_data, message) => tally.take(message.topic, Number(message.text().split(' ', 1)[0]), Date.now()));
  patron.on('gap', ({ topic, missing }) => tally.gap(topic, missing));
  await client.connect();
  return { client, tally };
}
