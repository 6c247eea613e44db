import { describe, expect, it } from 'vitest';
import { WebSocketBrew, type Brewer, type CustomBrew } from '../../src/compat/index.js';
import { compat, deferred, Inbox, native, next, relayOf, serve, text } from './helpers.js';
import { bus } from './bus.js';

describe('a custom brew', () => {
  it('carries data between a brewer and a patron that it has connected', async () => {
    const server = await serve();
    const { make, log, matches, frames } = bus();
    const [brewA, brewB] = [make(), make()];
    const reader = compat(server, { brews: [brewA] });
    const writer = compat(server, { brews: [brewB] });
    const texts = new Inbox<string>();
    const token = reader.addPatron('bus.*', (patron) => {
      expect(patron.brews).toEqual([brewA]);
      patron.on('message', (data) => texts.put(text(data)));
    });
    const matched = deferred<Brewer>();
    const unmatched = deferred();
    const brewing = writer.addBrewer('bus.x', (brewer) => {
      matched.resolve(brewer);
      return () => unmatched.resolve();
    });
    const added = deferred();
    reader.addPatron('*.x', (patron) => patron.on('added', () => added.resolve()));
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    await added.promise;
    await brewer.brewText('by bus');
    expect(await texts.next()).toBe('by bus');
    const common = { topic: 'bus.x', brewerId: brewing.id, patronId: token.id };
    expect(matches).toContainEqual({ ...common, config: { name: 'bus', volume: 11 } });
    expect(matches).toContainEqual({ ...common, config: { name: 'bus', channel: 7 } });
    // A whole brew frame begins with its version, and holds the brewer's id.
    expect(frames[0]?.[0]).toBe(1);
    expect(Buffer.from(frames[0]!.subarray(34, 50)).toString('hex')).toBe(brewing.id);
    await reader.disconnect();
    await unmatched.promise;
    await writer.disconnect();
    expect(log.filter((line) => line === 'patron closed')).toHaveLength(2);
    expect(log.filter((line) => line === 'brewer closed')).toHaveLength(2);
  });

  it('that returns one connection for all matches gets each frame once, and one close() at the end', async () => {
    const server = await serve();
    const { make, log, frames } = bus();
    const writer = compat(server, { brews: [make({ shared: true })] });
    const readers = [compat(server, { brews: [make()] }), compat(server, { brews: [make()] })];
    const texts = new Inbox<string>();
    for (const reader of readers) {
      reader.addPatron('shared.x', (patron) => patron.on('message', (data) => texts.put(text(data))));
      await reader.connect();
    }
    const matched = deferred<Brewer>();
    const unmatched = deferred();
    writer.addBrewer('shared.x', (brewer) => {
      matched.resolve(brewer);
      return () => unmatched.resolve();
    });
    await writer.connect();
    const brewer = await matched.promise;
    if (brewer.size < 2) await next(brewer, 'added');
    await brewer.brewText('once');
    expect([await texts.next(), await texts.next()]).toEqual(['once', 'once']);
    expect(frames).toHaveLength(1);
    const removed = next(brewer, 'removed');
    await readers[0]?.disconnect();
    await removed;
    expect(log).not.toContain('brewer closed');
    await brewer.brewText('for the other');
    expect(await texts.next()).toBe('for the other');
    await readers[1]?.disconnect();
    await unmatched.promise;
    expect(log.filter((line) => line === 'brewer closed')).toHaveLength(1);
  });

  it('that cannot connect causes an error event', async () => {
    const server = await serve();
    const failing: CustomBrew = {
      name: 'bus',
      connectBrewer: () => Promise.reject(new Error('later')),
      connectPatron: () => {
        throw new Error('at once');
      },
    };
    const client = compat(server, { brews: [failing] });
    const errors = new Inbox<unknown>();
    client.on('error', ({ code, cause }) => errors.put([code, (cause as Error).message]));
    client.addPatron('fail.x');
    client.addBrewer('fail.x');
    await client.connect();
    await Promise.all([errors.next(), errors.next()]);
    expect(errors.all).toContainEqual(['BREW_FAILED', 'later']);
    expect(errors.all).toContainEqual(['BREW_FAILED', 'at once']);
  });

  it('that cannot close causes an error event, at either end', async () => {
    const server = await serve();
    const failing: CustomBrew = {
      name: 'bus',
      connectBrewer: () => ({ brew: () => undefined, close: () => Promise.reject(new Error('later')) }),
      connectPatron: () => ({
        close: () => {
          throw new Error('at once');
        },
      }),
    };
    const client = compat(server, { brews: [failing] });
    const errors = new Inbox<unknown>();
    client.on('error', ({ code, cause }) => errors.put([code, (cause as Error).message]));
    const matched = deferred();
    client.addPatron('fail.x');
    client.addBrewer('fail.x', () => matched.resolve());
    await client.connect();
    await matched.promise;
    await client.disconnect();
    await Promise.all([errors.next(), errors.next()]);
    expect(errors.all).toContainEqual(['BREW_FAILED', 'later']);
    expect(errors.all).toContainEqual(['BREW_FAILED', 'at once']);
  });

  it('with a null config, or without one of the functions, serves only brewers or only patrons', async () => {
    const server = await serve();
    const { make } = bus();
    const full = make();
    const matched: string[] = [];
    const reading = compat(server, { brews: [{ ...full, brewerConfig: null }] });
    reading.addBrewer('half.a', () => matched.push('brewer of a brew that only subscribes'));
    reading.addPatron('half.b', () => matched.push('right'));
    const { name, connectBrewer } = full;
    const writing = compat(server, { brews: [connectBrewer ? { name, connectBrewer } : { name }] });
    writing.addPatron('half.a', () => matched.push('patron of a brew that only brews'));
    const both = deferred();
    writing.addBrewer('half.b', () => both.resolve());
    await Promise.all([reading.connect(), writing.connect()]);
    await both.promise;
    // Nor do those match who have only the wrong function, although the other side is there.
    writing.addPatron('half.b', () => matched.push('patron of a brew that only brews'));
    const { connectPatron } = full;
    const deaf = compat(server, { brews: [connectPatron ? { name, connectPatron } : { name }] });
    deaf.addBrewer('half.c', () => matched.push('brewer of a brew that only subscribes'));
    await deaf.connect();
    const third = compat(server, { brews: [{ ...make(), patronConfig: null }] });
    third.addPatron('half.*', () => matched.push('patron of a brew that only brews'));
    const last = compat(server, { brews: [make()] });
    last.addPatron('half.*', ({ topic }) => matched.push(topic));
    for (const client of [third, last]) await client.connect();
    // The answer to its registration names all matches of the last client, so that no others follow.
    expect(matched).toEqual(['right', 'half.*']);
    expect(reading.status).toBe('connected');
  });
});

describe('the option brews of patrons and brewers', () => {
  it('chooses among the brews of the client, by name or object', async () => {
    const server = await serve();
    const { make } = bus();
    const relay = new WebSocketBrew({ brewerConfig: relayOf(server) });
    const custom = make();
    const client = compat(server, { brews: [relay, custom] });
    const seen = new Inbox<readonly unknown[]>();
    client.addBrewer('choice.x', { brews: ['bus'] }, (brewer) => seen.put(['brewer', ...brewer.brews]));
    client.addPatron('choice.*', { brews: [custom] }, (patron) => seen.put(['by bus', ...patron.brews]));
    client.addPatron('choice.*', { brews: [relay] }, () => seen.put(['by relay']));
    await client.connect();
    const both = [await seen.next(), await seen.next()];
    expect(both).toContainEqual(['brewer', custom]);
    expect(both).toContainEqual(['by bus', custom]);
    const reader = native(server);
    const error = new Promise((resolve) => reader.on('matched', resolve));
    reader.addPatron('choice.*');
    await reader.connect();
    const writer = native(server);
    writer.addBrewer('choice.y', { cipher: 'aes-cbc' });
    await writer.connect();
    expect(await error).toMatchObject({ topic: 'choice.y' });
    expect(await seen.next()).toEqual(['by relay']);
    expect(seen.all).toHaveLength(3);
  });
});
