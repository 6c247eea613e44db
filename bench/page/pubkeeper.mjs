import { PubkeeperClient } from '../../dist/index.js';

export async function subscribe({ url, token }, onMessage) {
  const client = new PubkeeperClient({ server: url, token });
  client.addPatron('bench.a.b', onMessage);
  await client.connect();
}
