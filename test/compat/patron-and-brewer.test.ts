import { describe, expect, it } from 'vitest';
import { WebSocketBrew, type Brewer, type Patron } from '../../src/compat/index.js';
import { compat, DASHED, deferred, ID, Inbox, next, pair, relayOf, serve, text } from './helpers.js';

describe('the patron', () => {
  it('has id, topic, brews, size and isMatched, and tells of matches and messages', async () => {
    const server = await serve();
    const brew = new WebSocketBrew({ brewerConfig: relayOf(server) });
    const reader = compat(server, { brews: [brew] });
    const writer = compat(server);
    const added = new Inbox<unknown>();
    const removed = new Inbox<unknown>();
    const messages = new Inbox<unknown>();
    const matched = deferred<Patron>();
    reader.addPatron('plant.*.temperature', { id: DASHED }, (patron) => {
      patron.on('added', added.put).on('removed', removed.put);
      patron.on('message', (data, info) => messages.put([data, info]));
      matched.resolve(patron);
    });
    const brewing = deferred<Brewer>();
    const token = writer.addBrewer('plant.7.temperature', (brewer) => brewing.resolve(brewer));
    await Promise.all([reader.connect(), writer.connect()]);
    const patron = await matched.promise;
    const brewer = await brewing.promise;
    expect(patron).toMatchObject({ id: ID, topic: 'plant.*.temperature', size: 1, isMatched: true });
    expect(patron.brews).toEqual([brew]);
    expect(await added.next()).toEqual({ topic: 'plant.7.temperature', id: brewer.id });
    await brewer.brew(Uint8Array.of(1, 2, 3));
    expect(await messages.next()).toEqual([
      Uint8Array.of(1, 2, 3),
      { topic: 'plant.7.temperature', from: brewer.id, createdBy: brewer.id },
    ]);
    writer.removeBrewer(token);
    expect(await removed.next()).toEqual({ id: brewer.id });
    expect(patron).toMatchObject({ size: 0, isMatched: false });
  });

  it('calls its other listeners when a message listener throws', async () => {
    const { reader, writer } = await pair();
    const errors = new Inbox<unknown>();
    reader.on('error', ({ code }) => errors.put(code));
    const texts = new Inbox<string>();
    reader.addPatron('throws.x', (patron) => {
      patron.on('message', () => {
        throw new Error('no');
      });
      patron.on('message', (data) => texts.put(text(data)));
    });
    const brewing = deferred<Brewer>();
    writer.addBrewer('throws.x', (brewer) => brewing.resolve(brewer));
    const brewer = await brewing.promise;
    await brewer.brewText('one');
    await brewer.brewText('two');
    expect([await texts.next(), await texts.next()]).toEqual(['one', 'two']);
    expect([await errors.next(), await errors.next()]).toEqual(['CALLBACK_FAILED', 'CALLBACK_FAILED']);
  });
});

describe('the brewer', () => {
  it('has id, topic, brews, size and isMatched, and tells of matches', async () => {
    const server = await serve();
    const brew = new WebSocketBrew({ brewerConfig: relayOf(server) });
    const writer = compat(server, { brews: [brew] });
    const reader = compat(server);
    const added = new Inbox<unknown>();
    const removed = new Inbox<unknown>();
    const matched = deferred<Brewer>();
    writer.addBrewer('brewer.x', { id: ID }, (brewer) => {
      brewer.on('added', added.put).on('removed', removed.put);
      matched.resolve(brewer);
    });
    const token = reader.addPatron('brewer.*');
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    expect(brewer).toMatchObject({ id: ID, topic: 'brewer.x', size: 1, isMatched: true });
    expect(brewer.brews).toEqual([brew]);
    expect(await added.next()).toEqual({ topic: 'brewer.x', id: token.id });
    reader.removePatron(token);
    expect(await removed.next()).toEqual({ id: token.id });
    expect(brewer).toMatchObject({ size: 0, isMatched: false });
  });

  it('brews bytes, text and JSON with replacer and space, and returns a promise for each', async () => {
    const { reader, writer } = await pair();
    const texts = new Inbox<string>();
    reader.addPatron('kinds.x', (patron) => patron.on('message', (data) => texts.put(text(data))));
    const matched = deferred<Brewer>();
    writer.addBrewer('kinds.x', (brewer) => matched.resolve(brewer));
    const brewer = await matched.promise;
    const value = { a: 1, b: [2] };
    const sent = [
      brewer.brew(new TextEncoder().encode('bytes')),
      brewer.brew(new TextEncoder().encode('buffer').buffer),
      brewer.brewText('grüezi'),
      brewer.brewJSON(value),
      brewer.brewJSON(value, { space: 1 }),
      brewer.brewJSON(value, { replacer: ['a'] }),
      brewer.brewJSON(value, { replacer: (_key, inner) => (Array.isArray(inner) ? 'list' : inner), waitForBrews: 100 }),
    ];
    expect(await Promise.all(sent)).toEqual(sent.map(() => undefined));
    const got = await Promise.all(sent.map(() => texts.next()));
    expect(got).toEqual([
      'bytes',
      'buffer',
      'grüezi',
      '{"a":1,"b":[2]}',
      '{\n "a": 1,\n "b": [\n  2\n ]\n}',
      '{"a":1}',
      '{"a":1,"b":"list"}',
    ]);
  });

  it.each([2, 'none', 'aes-gcm'])('loses no message that is brewed in matched or in a listener of "added" (cipher %s)', async (cipher) => {
    const { reader, writer } = await pair();
    const texts = new Inbox<string>();
    reader.addPatron('early.*', (patron) => patron.on('message', (data) => texts.put(text(data))));
    writer.addBrewer('early.x', { cipher, waitForBrews: 10_000 }, (brewer) => {
      void brewer.brewText('in matched');
      brewer.on('added', () => void brewer.brewText('in added'));
    });
    expect([await texts.next(), await texts.next()]).toEqual(['in matched', 'in added']);
  });

  it('treats null as no options', async () => {
    const { reader, writer } = await pair();
    const texts = new Inbox<string>();
    reader.addPatron('null.x', (patron) => patron.on('message', (data) => texts.put(text(data))));
    const matched = deferred<Brewer>();
    writer.addBrewer('null.x', { waitForBrews: 10_000 }, matched.resolve);
    const brewer = await matched.promise;
    await brewer.brew(new TextEncoder().encode('bytes'), null);
    await brewer.brewText('text', null);
    await brewer.brewJSON([1], null);
    expect([await texts.next(), await texts.next(), await texts.next()]).toEqual(['bytes', 'text', '[1]']);
    await expect(writer.connect(null)).resolves.toBe(writer);
  });

  it('resolves at once when nobody is matched, also before connect and after disconnect', async () => {
    const server = await serve();
    const writer = compat(server);
    const reader = compat(server);
    const matched = deferred<Brewer>();
    writer.addBrewer('nobody.x', { waitForBrews: 600_000 }, (brewer) => matched.resolve(brewer));
    const token = reader.addPatron('nobody.x');
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    const removed = next(brewer, 'removed');
    reader.removePatron(token);
    await removed;
    expect(await brewer.brewText('into the void')).toBeUndefined();
    // Also for invalid data, as there is nobody to send it to.
    expect(await brewer.brewJSON(1n)).toBeUndefined();
    expect(await brewer.brew('no bytes' as unknown as Uint8Array)).toBeUndefined();
    await writer.disconnect();
    expect(await brewer.brew(Uint8Array.of(1))).toBeUndefined();
  });

  it('rejects what JSON cannot express', async () => {
    const { reader, writer } = await pair();
    const errors = new Inbox<string>();
    writer.on('error', ({ code }) => errors.put(code));
    const matched = deferred<Brewer>();
    writer.addBrewer('json.x', (brewer) => matched.resolve(brewer));
    reader.addPatron('json.x');
    const brewer = await matched.promise;
    await expect(brewer.brewJSON(1n)).rejects.toMatchObject({ code: 'DATA_INVALID' });
    await expect(brewer.brewJSON(undefined)).rejects.toMatchObject({ code: 'DATA_INVALID' });
    // These rejections need not be caught.
    void brewer.brewJSON(1n);
    void brewer.brew(JSON.parse('7') as Uint8Array);
    for (let i = 0; i < 4; i++) expect(await errors.next()).toBe('DATA_INVALID');
  });
});
