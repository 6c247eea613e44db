import { describe, expect, it } from 'vitest';
import type { BrewerToken, Patron, PatronToken } from '../../src/compat/index.js';
import { compat, DASHED, deferred, ID, Inbox, pair } from './helpers.js';

describe('addPatron and addBrewer', () => {
  it('return tokens that remove them; using a token a second time does nothing', async () => {
    const { server, reader, writer } = await pair();
    const gone = new Inbox<string>();
    const both = new Inbox<string>();
    const patron = reader.addPatron('tokens.*', () => {
      both.put('patron');
      return () => gone.put('patron');
    });
    const brewer = writer.addBrewer('tokens.x', () => {
      both.put('brewer');
      return () => gone.put('brewer');
    });
    await both.next();
    await both.next();
    reader.removePatron(patron);
    expect(gone.all).toEqual(['patron']);
    expect(await gone.next()).toBe('patron');
    expect(await gone.next()).toBe('brewer');
    expect(server.stats()).toMatchObject({ patrons: 0, brewers: 1 });
    writer.removeBrewer(brewer);
    writer.removeBrewer(brewer);
    reader.removePatron(patron);
    await expect.poll(() => server.stats()).toMatchObject({ patrons: 0, brewers: 0 });
    expect(gone.all).toEqual(['patron', 'brewer']);
  });

  it('return tokens whose second use does not remove a later patron with the same id, also one that a teardown has added', async () => {
    const { reader, writer } = await pair();
    const sizes = new Inbox<string>();
    const seen = (name: string) => (patron: Patron) => void sizes.put(`${name} ${patron.size}`);
    const first = reader.addPatron('twice.*', { id: ID }, (patron) => {
      seen('first')(patron);
      return () => void reader.addPatron('twice.*', { id: ID }, seen('second'));
    });
    writer.addBrewer('twice.x');
    expect(await sizes.next()).toBe('first 1');
    reader.removePatron(first);
    expect(await sizes.next()).toBe('second 1');
    reader.removePatron(first);
    await reader.disconnect();
    await reader.connect();
    expect(await sizes.next()).toBe('second 1');
  });

  it('return tokens for one client and one kind; to remove by any other token throws', async () => {
    const client = compat('ws://127.0.0.1:9');
    const other = compat('ws://127.0.0.1:9');
    const patron = client.addPatron('a.*');
    const brewer = client.addBrewer('a.b');
    const forged = { kind: 'patron', id: patron.id } as const;
    for (const token of [forged, brewer, undefined, null, 'x', 7, {}]) {
      expect(() => client.removePatron(token as PatronToken)).toThrow(/no token of a patron/);
    }
    expect(() => client.removeBrewer({ kind: 'brewer', id: brewer.id })).toThrow(/no token of a brewer/);
    expect(() => client.removeBrewer(patron as { kind: string } as BrewerToken)).toThrow(/no token of a brewer/);
    expect(() => other.removePatron(patron)).toThrow(/no token of a patron/);
    client.removePatron(patron);
    client.removeBrewer(brewer);
  });

  it('accept a matched function, options, or both', async () => {
    const { reader, writer } = await pair();
    const seen = new Inbox<string>();
    reader.addPatron('forms.a', () => seen.put('patron 1'));
    reader.addPatron('forms.a', {}, () => seen.put('patron 2'));
    reader.addPatron('forms.a', null, () => seen.put('patron 3'));
    reader.addPatron('forms.a', { autoRemoveListeners: false });
    reader.addPatron('forms.a');
    writer.addBrewer('forms.a', () => seen.put('brewer 1'));
    writer.addBrewer('forms.a', { cipher: 'none' }, () => seen.put('brewer 2'));
    writer.addBrewer('forms.a', { waitForBrews: false });
    writer.addBrewer('forms.a');
    const five = await Promise.all([1, 2, 3, 4, 5].map(() => seen.next()));
    expect(five.sort()).toEqual(['brewer 1', 'brewer 2', 'patron 1', 'patron 2', 'patron 3']);
  });

  it('throw for a wildcard in a brewer’s topic, and for an invalid topic', () => {
    const client = compat('ws://127.0.0.1:9');
    for (const topic of ['a.*', 'a.**', '**', 'a.*.b']) expect(() => client.addBrewer(topic)).toThrow(/wildcards are for patrons/);
    expect(() => client.addBrewer('')).toThrow(/is not a topic/);
    expect(() => client.addPatron('a..b')).toThrow(/is not a topic pattern/);
  });

  it('throw for an id that is no UUID or is taken, and for an unknown cipher or brew', () => {
    const client = compat('ws://127.0.0.1:9');
    client.addPatron('a.b', { id: ID, brews: ['websocket'] });
    expect(() => client.addPatron('a.b', { id: 'seven' })).toThrow(/must be a UUID/);
    expect(() => client.addPatron('a.c', { id: DASHED })).toThrow(/registered with this client already/);
    expect(() => client.addBrewer('a.b', { cipher: 99 })).toThrow(/cipher must be/);
    expect(() => client.addBrewer('a.b', { brews: ['carrier-pigeon'] })).toThrow(/no brew carrier-pigeon/);
  });
});

describe('matched', () => {
  it('runs at the first match, its teardown when the last match ends, and both again at the next match', async () => {
    const { reader, writer } = await pair();
    const events = new Inbox<string>();
    reader.addPatron('life.**', (patron) => {
      events.put(`matched ${patron.size}`);
      return () => events.put(`torn down ${patron.size}`);
    });
    const second = new Inbox<number>();
    reader.addPatron('life.**', { autoRemoveListeners: false }, (patron) => {
      patron.on('added', () => second.put(patron.size));
      patron.on('removed', () => second.put(patron.size));
    });
    const one = writer.addBrewer('life.a');
    expect(await events.next()).toBe('matched 1');
    expect(await second.next()).toBe(1);
    const two = writer.addBrewer('life.b');
    expect(await second.next()).toBe(2);
    writer.removeBrewer(one);
    expect(await second.next()).toBe(1);
    expect(events.all).toHaveLength(1);
    writer.removeBrewer(two);
    expect(await events.next()).toBe('torn down 0');
    writer.addBrewer('life.c');
    expect(await events.next()).toBe('matched 1');
  });

  it('has its teardown run at disconnect, and runs again after the next connect', async () => {
    const { reader, writer } = await pair();
    const events = new Inbox<string>();
    writer.addBrewer('again.x', (brewer) => {
      events.put(`brewer ${brewer.isMatched}`);
      return () => events.put('brewer torn down');
    });
    reader.addPatron('again.x');
    expect(await events.next()).toBe('brewer true');
    await writer.disconnect();
    expect(await events.next()).toBe('brewer torn down');
    await writer.connect();
    expect(await events.next()).toBe('brewer true');
  });

  it('may remove its own patron; its teardown still runs, once', async () => {
    const { reader, writer } = await pair();
    const events = new Inbox<string>();
    const token = reader.addPatron('self.x', (patron) => {
      reader.removePatron(token);
      events.put(`removed ${patron.isMatched}`);
      return () => events.put('torn down');
    });
    writer.addBrewer('self.x');
    expect([await events.next(), await events.next()]).toEqual(['removed false', 'torn down']);
  });

  it('that removes its own patron at a later match does not run the former teardown again', async () => {
    const { reader, writer } = await pair();
    const events = new Inbox<string>();
    let matches = 0;
    const token = reader.addPatron('later.x', () => {
      const match = ++matches;
      if (match === 2) reader.removePatron(token);
      return () => events.put(`torn down ${match}`);
    });
    const matched = deferred();
    const brewer = writer.addBrewer('later.x', () => matched.resolve());
    await matched.promise;
    writer.removeBrewer(brewer);
    expect(await events.next()).toBe('torn down 1');
    writer.addBrewer('later.x');
    expect(await events.next()).toBe('torn down 2');
    expect(events.all).toHaveLength(2);
  });

  it('causes an error event when it or its teardown fails', async () => {
    const { reader, writer } = await pair();
    const errors = new Inbox<unknown>();
    reader.on('error', ({ cause }) => errors.put(cause));
    reader.addPatron('fails.x', () => {
      throw new Error('matched');
    });
    reader.addPatron('fails.x', () => Promise.reject(new Error('async matched')));
    const token = reader.addPatron('fails.x', () => () => {
      throw new Error('teardown');
    });
    const added = deferred();
    reader.addPatron('fails.x', (patron) => patron.on('added', () => added.resolve()));
    writer.addBrewer('fails.x');
    await added.promise;
    reader.removePatron(token);
    const messages = [await errors.next(), await errors.next(), await errors.next()].map((error) => (error as Error).message);
    expect(messages.sort()).toEqual(['async matched', 'matched', 'teardown']);
  });

  it('need not return a function', async () => {
    const { reader, writer } = await pair();
    const errors: unknown[] = [];
    reader.on('error', (error) => errors.push(error));
    const seen = deferred<Patron>();
    const token = reader.addPatron('plain.x', (patron) => {
      seen.resolve(patron);
      return patron.on('message', () => undefined);
    });
    writer.addBrewer('plain.x');
    const patron = await seen.promise;
    reader.removePatron(token);
    expect([patron.isMatched, errors]).toEqual([false, []]);
  });
});

describe('autoRemoveListeners', () => {
  it.each([
    [undefined, 0],
    [true, 0],
    [false, 1],
  ])('%s leaves %i listeners when the last match has gone', async (autoRemoveListeners, left) => {
    const { reader, writer } = await pair();
    const matched = deferred<Patron>();
    const removed = deferred();
    reader.addPatron('auto.x', { autoRemoveListeners }, (patron) => {
      patron.on('message', () => undefined);
      patron.once('removed', () => removed.resolve());
      matched.resolve(patron);
    });
    const token = writer.addBrewer('auto.x');
    const patron = await matched.promise;
    expect(patron.listenerCount('message')).toBe(1);
    writer.removeBrewer(token);
    await removed.promise;
    expect(patron.listenerCount('message')).toBe(left);
  });
});
