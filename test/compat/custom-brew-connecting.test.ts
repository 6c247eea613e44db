import { describe, expect, it } from 'vitest';
import type { Brewer, BrewerConnection, CustomBrew, Patron } from '../../src/compat/index.js';
import { settle } from '../helpers.js';
import { compat, deferred, Inbox, next, serve, text } from './helpers.js';
import { bus } from './bus.js';

// A custom brew whose connections are still being made: which calls wait for them, and that a connection made too late is closed.

describe('a custom brew', () => {
  it('that is still connecting makes brewers wait, and is closed when its match has ended', async () => {
    const server = await serve();
    const { make, log } = bus();
    const gate = deferred();
    const writer = compat(server, { brews: [make({ gate: gate.promise })] });
    const reader = compat(server, { brews: [make()] });
    const texts = new Inbox<string>();
    const token = reader.addPatron('slow.x', (patron) => patron.on('message', (data) => texts.put(text(data))));
    const matched = deferred<Brewer>();
    writer.addBrewer('slow.x', (brewer) => matched.resolve(brewer));
    writer.on('error', () => undefined);
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    await expect(brewer.brewText('lost', { waitForBrews: 20 })).rejects.toThrow('all brews are not ready');
    const sent = [brewer.brewText('first', { waitForBrews: 60_000 }), brewer.brewText('second', { waitForBrews: 60_000 })];
    gate.resolve();
    await Promise.all(sent);
    expect([await texts.next(), await texts.next()]).toEqual(['first', 'second']);
    const removed = next(brewer, 'removed');
    reader.removePatron(token);
    await removed;
    await settle();
    expect(log).toEqual(['brewer open', 'patron closed', 'brewer closed']);
  });

  /** A brewer whose connection is made when `gate` settles, and a brewer of the same brew that is connected. */
  async function pending(gate: Promise<unknown>) {
    const server = await serve();
    const { make } = bus();
    const open = make();
    const writer = compat(server, {
      brews: [
        {
          ...open,
          connectBrewer: async (match) => {
            if (match.topic === 'pending.x') await gate;
            return open.connectBrewer!(match);
          },
        },
      ],
    });
    const reader = compat(server, { brews: [make()] });
    const errors = new Inbox<string>();
    writer.on('error', ({ code }) => errors.put(code));
    const texts = new Inbox<string>();
    const listen = (patron: Patron) => patron.on('message', (data) => texts.put(text(data)));
    const token = reader.addPatron('pending.x', listen);
    reader.addPatron('open.x', listen);
    const [slow, quick] = [deferred<Brewer>(), deferred<Brewer>()];
    writer.addBrewer('pending.x', { cipher: 'none', autoRemoveListeners: false }, slow.resolve);
    writer.addBrewer('open.x', { waitForBrews: 60_000 }, quick.resolve);
    await Promise.all([reader.connect(), writer.connect()]);
    return { reader, token, texts, errors, slow: await slow.promise, quick: await quick.promise };
  }

  it('whose connection never opens delays only its own brewer, and only until the match ends', async () => {
    const { reader, token, texts, errors, slow, quick } = await pending(new Promise(() => undefined));
    await quick.brewText('free');
    expect(await texts.next()).toBe('free');
    const held = slow.brewText('nobody', { waitForBrews: false });
    const waiting = slow.brewText('nobody', { waitForBrews: 60_000 });
    const removed = next(slow, 'removed');
    reader.removePatron(token);
    await Promise.all([removed, held, waiting]);
    await quick.brewText('still free');
    expect(await texts.next()).toBe('still free');
    // Nobody is matched any more, so that nothing was lost.
    expect(errors.all).toEqual([]);
  });

  it('keeps messages that are brewed with waitForBrews: false until it is connected, in order, up to 16 MiB', async () => {
    const gate = deferred();
    const { texts, errors, slow } = await pending(gate.promise);
    for (const word of ['one', 'two', 'three']) await slow.brewText(word, { waitForBrews: false });
    await slow.brew(new Uint8Array(16 * 1024 * 1024), { waitForBrews: false });
    expect(await errors.next()).toBe('BUFFER_FULL');
    gate.resolve();
    await slow.brewText('four', { waitForBrews: 60_000 });
    for (const word of ['one', 'two', 'three', 'four']) expect(await texts.next()).toBe(word);
  });

  /** A brewer and patrons over a brew whose connections the test makes: it resolves each gate with the function that sends. */
  async function byHand(patrons: number) {
    const server = await serve();
    const log: string[] = [];
    const gates: ReturnType<typeof deferred<(frame: Uint8Array) => unknown>>[] = [];
    /** The patrons of these connections. */
    const ids: string[] = [];
    const hand: CustomBrew = {
      name: 'hand',
      connectBrewer: async ({ patronId }) => {
        const at = gates.length;
        gates.push(deferred());
        ids.push(patronId);
        return { brew: await gates[at]!.promise, close: () => log.push(`closed ${at}`) };
      },
      connectPatron: () => ({ close: () => undefined }),
    };
    const [writer, reader] = [compat(server, { brews: [hand] }), compat(server, { brews: [hand] })];
    const errors = new Inbox<string>();
    writer.on('error', ({ code }) => errors.put(code));
    const tokens = Array.from({ length: patrons }, () => reader.addPatron('hand.x'));
    const matched = deferred<Brewer>();
    writer.addBrewer('hand.x', { cipher: 'none', autoRemoveListeners: false, waitForBrews: 60_000 }, matched.resolve);
    await reader.connect();
    await writer.connect();
    return { brewer: await matched.promise, gates, log, errors, reader, tokens: ids.map((id) => tokens.find((token) => token.id === id)!) };
  }

  it('whose match ends while it is connecting has its connection closed as soon as that is made', async () => {
    const { brewer, gates, log, reader, tokens } = await byHand(1);
    const removed = next(brewer, 'removed');
    reader.removePatron(tokens[0]!);
    await removed;
    expect(log).toEqual([]);
    gates[0]!.resolve(() => undefined);
    await settle();
    expect(log).toEqual(['closed 0']);
  });

  it('that gives matches the same connection keeps it open for a match that begins when another has ended before it was made', async () => {
    const server = await serve();
    const made = deferred<BrewerConnection>();
    const log = new Inbox<string>();
    const shared: CustomBrew = { name: 'shared', connectBrewer: () => made.promise, connectPatron: () => ({ close: () => undefined }) };
    const [writer, reader] = [compat(server, { brews: [shared] }), compat(server, { brews: [shared] })];
    const matched = deferred<Brewer>();
    writer.addBrewer('shared.x', { cipher: 'none', autoRemoveListeners: false }, matched.resolve);
    const first = reader.addPatron('shared.x');
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    const removed = next(brewer, 'removed');
    reader.removePatron(first);
    await removed;
    const added = next(brewer, 'added');
    const second = reader.addPatron('shared.x');
    await added;
    made.resolve({ brew: (frame) => log.put(text(frame.subarray(88))), close: () => log.put('closed') });
    await brewer.brewText('for the second', { waitForBrews: 60_000 });
    reader.removePatron(second);
    expect([await log.next(), await log.next(), log.all.length]).toEqual(['for the second', 'closed', 2]);
  });

  it('whose connection never opens delays other matches of its brewer only until its own match ends', async () => {
    const { brewer, gates, errors, reader, tokens } = await byHand(2);
    const words = new Inbox<string>();
    gates[0]!.resolve((frame) => words.put(text(frame.subarray(88))));
    const sent = [brewer.brewText('held', { waitForBrews: false }), brewer.brewText('waiting')];
    await settle();
    expect(words.all).toEqual([]);
    reader.removePatron(tokens[1]!);
    await Promise.all(sent);
    expect([await words.next(), await words.next()]).toEqual(['held', 'waiting']);
    expect(errors.all).toEqual([]);
  });

  it('has room for 16 MiB again each time that it has connected', async () => {
    const { brewer, gates, errors, reader } = await byHand(1);
    const sizes = new Inbox<number>();
    const take = (frame: Uint8Array) => sizes.put(frame.length - 88);
    const most = 10 * 1024 * 1024;
    for (const at of [0, 1]) {
      if (at) {
        const added = next(brewer, 'added');
        reader.addPatron('hand.x');
        await added;
      }
      await brewer.brew(new Uint8Array(most + at), { waitForBrews: false });
      gates[at]!.resolve(take);
      expect(await sizes.next()).toBe(most + at);
    }
    expect(errors.all).toEqual([]);
  });

  it('sends on each of its connections when all are made; brew() waits for all, and rejects when one throws', async () => {
    const { brewer, gates, log, errors } = await byHand(2);
    const slow = deferred();
    const take = (at: number) => (frame: Uint8Array) => {
      const word = text(frame.subarray(88));
      log.push(`${at} ${word}`);
      if (word === 'bad') throw new Error('of the connection');
      return at === 0 ? slow.promise : undefined;
    };
    await brewer.brewText('early', { waitForBrews: false });
    // The one that was begun first is made last.
    gates[1]!.resolve(take(1));
    await settle();
    expect(log).toEqual([]);
    gates[0]!.resolve(take(0));
    await settle();
    expect(log).toEqual(['1 early', '0 early']);
    let isSent = false;
    const sent = brewer.brewText('late').then(() => (isSent = true));
    await settle();
    expect([log.slice(2), isSent]).toEqual([['1 late', '0 late'], false]);
    slow.resolve();
    await sent;
    await expect(brewer.brewText('bad')).rejects.toMatchObject({ code: 'BREW_FAILED', cause: { message: 'of the connection' } });
    expect(await errors.next()).toBe('BREW_FAILED');
  });

  it('none of whose connections could be made makes brew() reject', async () => {
    const gate = deferred<Promise<never>>();
    const { errors, slow } = await pending(gate.promise);
    await slow.brewText('held', { waitForBrews: false });
    gate.resolve(Promise.reject(new Error('refused')));
    expect([await errors.next(), await errors.next()]).toEqual(['BREW_FAILED', 'BREW_FAILED']);
    await expect(slow.brewText('too late')).rejects.toMatchObject({ code: 'BREW_FAILED' });
  });
});
