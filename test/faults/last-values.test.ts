import { describe, expect, it } from 'vitest';
import { type CipherName, Patron, PubkeeperClient } from '../../src/index.js';
import { later, start, until } from '../server/harness.js';
import { FaultProxy } from './proxy.js';

// A relay sends its last value to each that joins. If a patron has got that message or a newer one before, its callback must not get it:
// without a sequence in the cipher, the transport must know that.

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

describe.each(CIPHERS)('a brewer with the cipher %s', (cipher) => {
  it('delivers a message once that is on its way while its patron leaves and comes back', async () => {
    const { server, proxy, apart, heard, patron } = await network();
    const { reading, brewer } = await apart(cipher);
    await brewer.brewText('1');
    await until(() => heard.length === 1);
    const release = proxy.hold(isRelay);
    await brewer.brewText('2');
    await until(() => server.stats().published === 2);
    reading.removePatron(patron);
    reading.addPatron(patron);
    // The patron has joined again, so that the relay has sent that message twice.
    await until(() => server.stats().delivered === 3);
    release();
    await until(() => brewer.isMatched);
    await brewer.brewText('3');
    await until(() => heard.includes('3'));
    expect(heard).toEqual(['1', '2', '3']);
  });

  it('does not repeat a message that came before the brewer was known, after newer ones', async () => {
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
    // A patron that begins again gets the last value once more.
    await until(() => heard.at(-1) === '2' && server.stats().delivered === 3);
    await until(() => brewer.isMatched);
    await brewer.brewText('3');
    await until(() => heard.includes('3'));
    expect(heard).toEqual(['1', '2', '2', '3']);
  });

  it('that left while its link was cut is not followed by an older last value of the relay', async () => {
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
