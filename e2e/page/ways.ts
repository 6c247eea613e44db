// Runs in pages and workers, however the SDK was loaded: sends a message to Node, and waits for the answer.
import type * as Bundle from '../../src/index.js';

export type Exchange = (sdk: typeof Bundle, server: string, token: string, name: string) => Promise<string>;

const exchange: Exchange = async ({ PubkeeperClient }, server, token, name) => {
  const client = new PubkeeperClient({ server, token });
  const answer = new Promise<string>((resolve) => client.addPatron(`ways.back.${name}`, (_, message) => resolve(message.text())));
  const brewer = client.addBrewer(`ways.there.${name}`);
  const matched = new Promise<unknown>((resolve) => brewer.on('matched', resolve));
  await client.connect();
  await matched;
  await brewer.brewText(name);
  const text = await answer;
  await client.disconnect();
  return text;
};

Object.assign(globalThis, { exchange });
