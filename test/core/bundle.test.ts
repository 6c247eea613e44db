import { describe, expect, it } from 'vitest';
import { Bundle } from '../../src/core/bundle.js';
import { settle } from '../helpers.js';
import { brewerKit, patron } from './brewer-kit.js';
import { bundle } from '../sealed-frame.js';

const FULL = 64 * 1024;

describe('Bundle', () => {
  it('holds messages of any length, one after the other, as it grows', () => {
    const made = new Bundle();
    const texts = ['', 'a', 'b'.repeat(251), 'c', 'd'.repeat(5000), 'e'.repeat(20_000)];
    for (const text of texts) made.add(Buffer.from(text));
    expect(Buffer.from(made.take()).equals(bundle(...texts))).toBe(true);
    expect([made.count, made.length]).toEqual([0, 0]);
    made.add(Buffer.from('alone'));
    expect(Buffer.from(made.take()).toString()).toBe('alone');
  });

  it('is full at 64 KiB including lengths; a single message may be longer', () => {
    const made = new Bundle();
    const brews = [{}, { maxBundle: 2 * FULL }];
    expect(made.hasRoomFor(new Uint8Array(2 * FULL), brews)).toBe(true);
    made.add(new Uint8Array(FULL - 100 - 4));
    expect([made.hasRoomFor(new Uint8Array(96), brews), made.hasRoomFor(new Uint8Array(97), brews)]).toEqual([true, false]);
  });

  it('is full where one of the brews is', () => {
    const made = new Bundle();
    const brews = [{ maxBundle: 1000 }, { maxBundle: 100 }, {}];
    expect(made.hasRoomFor(new Uint8Array(500), brews)).toBe(true);
    made.add(new Uint8Array(46));
    expect([made.hasRoomFor(new Uint8Array(46), brews), made.hasRoomFor(new Uint8Array(47), brews)]).toEqual([true, false]);
  });

  it('does not keep the memory of a long bundle', () => {
    const made = new Bundle();
    made.add(new Uint8Array(10 * FULL));
    expect(made.take().length).toBe(10 * FULL);
    made.add(new Uint8Array(10));
    expect(made.take().buffer.byteLength).toBe(256);
  });
});

it('messages of one tick are sent in as few frames as 64 KiB allow', async () => {
  const { brewer, x } = brewerKit({ crypto: true });
  brewer.newPatrons([patron(1)]);
  for (const length of [40_000, 20_000, 10_000, 200_000, 1]) void brewer.brew(new Uint8Array(length));
  await settle();
  // Less header and tag, the first frame has two messages, each with its length.
  expect(x.frames.map(({ length }) => length - 88 - 16)).toEqual([60_008, 10_000, 200_000, 1]);
});

it('a message that was accepted is not waited for by the next _flush()', async () => {
  const { brewer, x } = brewerKit();
  brewer.newPatrons([patron(1)]);
  x.onBrew = () => Promise.resolve();
  const sent = brewer.brewText('x');
  expect(brewer._flush()).toBeInstanceOf(Promise);
  await sent;
  await settle();
  expect(brewer._flush()).toBeUndefined();
});
