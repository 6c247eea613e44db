import { describe, expect, it } from 'vitest';
import { Routes } from '../../src/brews/internal/routes.js';
import { frameIdentity, topicHash } from '../../src/core/frame.js';
import { fromHex } from '../../src/core/id.js';
import { id, rawFrame } from '../helpers.js';

function kit() {
  const routes = new Routes(() => undefined);
  const heard: string[] = [];
  const receive = (frame: Uint8Array, retained?: boolean): void => void heard.push(`${new TextDecoder().decode(frame.subarray(88))} ${retained}`);
  const route = routes.add(frameIdentity(topicHash('a'), fromHex(id(1))), receive);
  const deliver = (text: string, retained?: boolean): boolean => routes.deliver(rawFrame('a', id(1), text), retained);
  return { routes, route, receive, heard, deliver };
}

describe('after a connection was lost', () => {
  it.each([true, undefined])('the last value that the relay repeats is not delivered again (retained: %s)', (retained) => {
    const { routes, heard, deliver } = kit();
    deliver('on', false);
    routes.interrupted();
    expect(deliver('on', retained)).toBe(true);
    deliver('off', retained);
    deliver('off', retained);
    expect(heard).toEqual(['on false', `off ${retained}`, `off ${retained}`]);
  });

  it('a message that is the same as the one before is delivered, where the relay says that it is live', () => {
    const { routes, heard, deliver } = kit();
    deliver('on', false);
    routes.interrupted();
    deliver('on', false);
    deliver('on', false);
    expect(heard).toEqual(['on false', 'on false', 'on false']);
  });
});

it.each([true, undefined])('what a relay has kept of a brewer of this client is older than what was published here (retained: %s)', (retained) => {
  const { routes, heard, deliver } = kit();
  deliver('from elsewhere', retained);
  routes.deliver(rawFrame('a', id(1), 'published'), false, { pairs: 1 });
  expect(deliver('kept', retained)).toBe(true);
  deliver('live', false);
  expect(heard).toEqual([`from elsewhere ${retained}`, 'published false', 'live false']);
});

it('a brewer that has published here and has no pairs here any more is heard from elsewhere again', () => {
  const { routes, heard, deliver } = kit();
  const brewer = { pairs: 2 };
  routes.deliver(rawFrame('a', id(1), 'published'), false, brewer);
  brewer.pairs--;
  deliver('kept', undefined);
  brewer.pairs--;
  deliver('elsewhere', undefined);
  expect(heard).toEqual(['published false', 'elsewhere undefined']);
});

it('a route that was left takes nothing', () => {
  const { routes, route, receive, heard, deliver } = kit();
  expect(routes.delete(route, receive)).toBe(true);
  expect(routes.delete(route, receive)).toBe(false);
  expect([deliver('x', false), heard]).toEqual([false, []]);
});
