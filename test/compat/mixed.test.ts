import { WebSocket } from 'ws';
import { describe, expect, it } from 'vitest';
import { WebSocketBrew as NativeBrew } from '../../src/index.js';
import { type Brewer } from '../../src/compat/index.js';
import { compat, deferred, Inbox, native, relayOf, serve, text } from './helpers.js';

const LAYOUTS = [
  ['a single port', {}],
  ['split ports', { relayPort: 0 }],
  ['split ports with tickets', { relayPort: 0, profile: 'secured' }],
] as const;
const PROTOCOLS = ['pubkeeper-1.0', 'pubkeeper-1.1'] as const;
const CASES = LAYOUTS.flatMap(([layout, options]) => PROTOCOLS.map((protocol) => [layout, protocol, options] as const));

/** Longer than the default, as the speed of a busy machine is not the subject of this test. */
const PATIENT = { waitForBrews: 10_000 };

describe.each(CASES)('on %s, by %s', (_layout, protocol, options) => {
  async function network() {
    const server = await serve(options);
    const chosen = new Inbox<string>();
    class Seeing extends WebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(url, protocols);
        if (url === server.url) this.on('open', () => chosen.put(this.protocol));
      }
    }
    const old = compat(server, { protocols: protocol, WebSocket: Seeing });
    const modern = native(server, { brews: [new NativeBrew(relayOf(server))] });
    return { old, modern, chosen };
  }

  it('a compat brewer reaches a native patron', async () => {
    const { old, modern, chosen } = await network();
    const got = new Inbox<unknown>();
    modern.addPatron('mixed.**', (data, { topic, brewerId }) => got.put([text(data), topic, brewerId]));
    const matched = deferred<Brewer>();
    old.addBrewer('mixed.a.b', PATIENT, (brewer) => matched.resolve(brewer));
    await Promise.all([old.connect(), modern.connect()]);
    const brewer = await matched.promise;
    await brewer.brewText('old to new');
    expect(await got.next()).toEqual(['old to new', 'mixed.a.b', brewer.id]);
    await brewer.brewJSON({ n: 1 });
    expect(await got.next()).toEqual(['{"n":1}', 'mixed.a.b', brewer.id]);
    expect(await chosen.next()).toBe(protocol);
  });

  it.each(['aes-cbc', 'none', 'aes-gcm'] as const)('a native brewer with %s reaches a compat patron', async (cipher) => {
    const { old, modern, chosen } = await network();
    const got = new Inbox<unknown>();
    old.addPatron('mixed.*', (patron) => patron.on('message', (data, info) => got.put([text(data), info])));
    const brewer = modern.addBrewer('mixed.x', { cipher });
    const matched = new Promise((resolve) => brewer.on('matched', resolve));
    await Promise.all([old.connect(), modern.connect()]);
    await matched;
    const info = { topic: 'mixed.x', from: brewer.brewerId, createdBy: brewer.brewerId };
    await brewer.brewText('new to old');
    expect(await got.next()).toEqual(['new to old', info]);
    // Long enough to be opened by another engine if there is one.
    const large = 'x'.repeat(70_000);
    await brewer.brewText(large);
    expect(await got.next()).toEqual([large, info]);
    expect(await chosen.next()).toBe(protocol);
  });

  it('last values reach late patrons in both directions', async () => {
    const { old, modern } = await network();
    const got = new Inbox<string>();
    const keep = modern.addPatron('late.*', () => undefined);
    const matched = deferred<Brewer>();
    old.addBrewer('late.a', PATIENT, (brewer) => matched.resolve(brewer));
    const native = modern.addBrewer('late.b', { cipher: 'aes-cbc' });
    await Promise.all([old.connect(), modern.connect()]);
    await (await matched.promise).brewText('from the old one');
    const nativeMatched = new Promise((resolve) => native.on('matched', resolve));
    if (!native.isMatched) await nativeMatched;
    await native.brewText('from the new one');
    old.addPatron('late.b', (patron) => patron.on('message', (data) => got.put(text(data))));
    expect(await got.next()).toBe('from the new one');
    modern.removePatron(keep);
    modern.addPatron('late.a', (data) => got.put(text(data)));
    expect(await got.next()).toBe('from the old one');
  });
});
