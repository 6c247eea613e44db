import { describe, expect, it } from 'vitest';
import { type CipherName, Patron, PubkeeperClient } from '../../src/index.js';
import { later, start, until } from '../server/harness.js';
import { FaultProxy } from './proxy.js';

// What a relay has kept comes to whoever joins. Where that has come before, or something newer has, it must not come to a callback:
// ciphers that number nothing leave it to the transport to know.

const CIPHERS: CipherName[] = ['none', 'aes-cbc'];
const isRelay = (path: string): boolean => path === '/';

async function network() {
  const server = await start();
  const proxy = await FaultProxy.listen(() => server.port);
  later(() => proxy.close());
  const join = async (path: string): Promise<PubkeeperClient> => {
    const url = `ws://127.0.0.1:${proxy.port}${path}`;
    const client = new PubkeeperClient({ server: url, token: server.token!, reconnect: { delayMs: 10, maxDelayMs: 20 } });
    client.on('error', () => undefined);
    later(() => client.disconnect());
    await client.connect();
    return client;
  };
  const heard: string[] = [];
  const patron = new Patron('a.*', (_, message) => void heard.push(message.text()));
  /** The patron and a brewer that it is matched with, each at a client of its own. */
  const apart = async (cipher: CipherName) => {
    const [writing, reading] = [await join('/ws?writes'), await join('/ws?reads')];
    const brewer = writing.addBrewer('a.b', { cipher });
    reading.addPatron(patron);
    await until(() => brewer.isMatched);
    return { reading, writing, brewer };
  };
  return { server, proxy, join, apart, heard, patron };
}

describe.each(CIPHERS)('of a brewer with the cipher %s', (cipher) => {
  it('a message that is on its way while a patron leaves and comes back comes once', async () => {
    const { server, proxy, apart, heard, patron } = await network();
    const { reading, brewer } = await apart(cipher);
    await brewer.brewText('1');
    await until(() => heard.length === 1);
    const release = proxy.hold(isRelay);
    await brewer.brewText('2');
    await until(() => server.stats().published === 2);
    reading.removePatron(patron);
    reading.addPatron(patron);
    // It has joined anew: so the relay has sent that message to it twice.
    await until(() => server.stats().delivered === 3);
    release();
    await until(() => brewer.isMatched);
    await brewer.brewText('3');
    await until(() => heard.includes('3'));
    expect(heard).toEqual(['1', '2', '3']);
  });

  it('a message that came before its brewer was known does not come to its patron again after newer ones', async () => {
    const { server, proxy, apart, heard, patron } = await network();
    const { writing, reading } = await apart(cipher);
    const release = proxy.hold((path) => path === '/ws?reads');
    const brewer = writing.addBrewer('a.b', { cipher });
    await until(() => brewer.isMatched);
    await brewer.brewText('1');
    await until(() => server.stats().delivered === 1);
    release();
    await until(() => heard.length === 1);
    await brewer.brewText('2');
    await until(() => heard.length === 2);
    reading.removePatron(patron);
    reading.addPatron(patron);
    // The last value comes once more, to who begins anew.
    await until(() => heard.at(-1) === '2' && server.stats().delivered === 3);
    await until(() => brewer.isMatched);
    await brewer.brewText('3');
    await until(() => heard.includes('3'));
    expect(heard).toEqual(['1', '2', '2', '3']);
  });

  it('that left while its link was cut, what the relay had kept does not come after what was lost on that link', async () => {
    const { server, proxy, join, heard, patron } = await network();
    const client = await join('/ws');
    const brewer = client.addBrewer('a.b', { cipher });
    client.addPatron(patron);
    await until(() => brewer.isMatched);
    await brewer.brewText('1');
    await until(() => server.stats().published === 1);
    proxy.blackhole('up', isRelay);
    await brewer.brewText('2');
    await until(() => heard.length === 2);
    client.removeBrewer(brewer);
    proxy.reset(isRelay);
    await until(() => server.stats().delivered === 1);
    await until(() => !patron.isMatched);
    expect(heard).toEqual(['1', '2']);
  });
});
