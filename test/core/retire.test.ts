import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { id } from '../helpers.js';
import { patronKit, sealing } from './patron-kit.js';

// A brewer's leaving is told on the control connection, and its data comes on another one: the word is often first.

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function retiring() {
  const kit = patronKit();
  const brewer = sealing(1);
  kit.patron.newBrewers([brewer.info]);
  return { ...kit, brewer, receive: kit.brew.started[0]!.receive };
}

it('delivers what comes after the word that its brewer has left, and removes the brewer when nothing comes any more', async () => {
  const { patron, brew, heard, log, brewer, receive } = retiring();
  receive(brewer.seal('before'));
  patron._retire(id(1));
  for (let i = 0; i < 50; i++) {
    receive(brewer.seal(`late ${i}`));
    await vi.advanceTimersByTimeAsync(150);
  }
  expect(heard).toHaveLength(51);
  expect(log).toEqual(['+t.1']);
  await vi.advanceTimersByTimeAsync(600);
  expect(log).toEqual(['+t.1', '-t.1']);
  expect(brew.stopped).toEqual([id(1)]);
  expect(patron.isMatched).toBe(false);
});

it('removes the brewer after half a minute even if it goes on', async () => {
  const { patron, brewer, receive } = retiring();
  const begun = Date.now();
  patron._retire(id(1));
  for (let i = 0; i < 310 && patron.isMatched; i++) {
    receive(brewer.seal('more'));
    await vi.advanceTimersByTimeAsync(100);
  }
  expect([patron.isMatched, Date.now() - begun]).toEqual([false, 30_000]);
});

it('leaves a brewer alone that comes back meanwhile, and does nothing once it is removed', async () => {
  const { patron, log } = retiring();
  patron._retire(id(1));
  patron._retire(id(2));
  patron._retire('nonsense');
  await vi.advanceTimersByTimeAsync(150);
  patron.newBrewers([sealing(1).info]);
  await vi.advanceTimersByTimeAsync(5000);
  expect(patron.isMatched).toBe(true);
  patron._retire(id(1));
  patron.reset();
  await vi.advanceTimersByTimeAsync(5000);
  expect(log).toEqual(['+t.1', '-t.1', '+t.1', '-t.1']);
  expect(vi.getTimerCount()).toBe(0);
});
