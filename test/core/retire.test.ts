import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { id } from '../helpers.js';
import { patronKit, sealing } from './patron-kit.js';

// The server's notification that a brewer has left and the brewer's data use different connections: the notification often comes first.

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function retiring() {
  const kit = patronKit();
  const brewer = sealing(1);
  kit.patron.newBrewers([brewer.info]);
  return { ...kit, brewer, receive: kit.brew.started[0]!.receive };
}

it('_retire() delivers frames that still come, and removes the brewer when no more come', async () => {
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

it('_retire() removes the brewer after 30 s even if frames still come', async () => {
  const { patron, brewer, receive } = retiring();
  const begun = Date.now();
  patron._retire(id(1));
  for (let i = 0; i < 310 && patron.isMatched; i++) {
    receive(brewer.seal('more'));
    await vi.advanceTimersByTimeAsync(100);
  }
  expect([patron.isMatched, Date.now() - begun]).toEqual([false, 30_000]);
});

it('_retire() does not affect a brewer that comes back meanwhile, or that was removed', async () => {
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
