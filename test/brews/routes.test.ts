import { describe, expect, it } from 'vitest';
import { Routes } from '../../src/brews/internal/routes.js';
import { frameIdentity, topicHash } from '../../src/core/frame.js';
import { id, rawFrame, unhex } from '../helpers.js';

function kit() {
  let lost = 0;
  const routes = new Routes(() => void lost++);
  const heard: string[] = [];
  const receive = (frame: Uint8Array, retained?: boolean): void => void heard.push(`${new TextDecoder().decode(frame.subarray(88))} ${retained}`);
  const route = routes.add(frameIdentity(topicHash('a'), unhex(id(1))), receive, id(2));
  const deliver = (text: string, retained?: boolean): void => routes.deliver(rawFrame('a', id(1), text), retained);
  /** How many frames no patron has taken. */
  const end = (): number => (routes.end(), lost);
  return { routes, route, receive, heard, deliver, end };
}

describe('after the connection to a relay was lost', () => {
  it.each([true, undefined])('the last value that the relay repeats is not delivered again (retained: %s)', (retained) => {
    const { routes, heard, deliver } = kit();
    deliver('on', false);
    routes.interrupted();
    deliver('on', retained);
    deliver('off', retained);
    deliver('off', false);
    expect(heard).toEqual(['on false', `off ${retained}`, 'off false']);
  });

  it('messages that equal the repeated last value are delivered after it, if the relay does not mark last values', () => {
    const { routes, heard, deliver } = kit();
    deliver('on');
    routes.interrupted();
    deliver('on');
    deliver('on');
    deliver('on');
    expect(heard).toEqual(['on undefined', 'on undefined', 'on undefined']);
  });

  it('a message that equals the former one is delivered if the relay marks it as live', () => {
    const { routes, heard, deliver } = kit();
    deliver('on', false);
    routes.interrupted();
    deliver('on', false);
    deliver('on', false);
    expect(heard).toEqual(['on false', 'on false', 'on false']);
  });
});

it('a marked last value is not delivered if that frame came last, as to a patron that left and joined again meanwhile', () => {
  const { heard, deliver } = kit();
  deliver('on its way', false);
  deliver('on its way', true);
  deliver('newer', true);
  deliver('newer', true);
  expect(heard).toEqual(['on its way false', 'newer true']);
});

it('a last value of a brewer that was here is not delivered after a frame published here, until the brewer publishes elsewhere', () => {
  const { routes, heard, deliver } = kit();
  const brewer = { pairs: 1 };
  routes.deliver(rawFrame('a', id(1), 'published'), false, brewer);
  brewer.pairs = 0;
  deliver('kept', true);
  deliver('elsewhere', false);
  deliver('kept of that', true);
  expect(heard).toEqual(['published false', 'elsewhere false', 'kept of that true']);
});

it.each([true, undefined])('a last value of a brewer of this client is not delivered after a frame published here (retained: %s)', (retained) => {
  const { routes, heard, deliver } = kit();
  deliver('from elsewhere', retained);
  routes.deliver(rawFrame('a', id(1), 'published'), false, { pairs: 1 });
  deliver('kept', retained);
  deliver('live', false);
  expect(heard).toEqual([`from elsewhere ${retained}`, 'published false', 'live false']);
});

it('a later patron gets the last frame, which is a copy, and does not keep a much longer message in memory', () => {
  const { routes, route, heard, deliver } = kit();
  deliver('before', false);
  const message = new Uint8Array(10_000);
  const frame = rawFrame('a', id(1), 'last');
  message.set(frame, 100);
  routes.deliver(message.subarray(100, 100 + frame.length), false);
  routes.release(message);
  const given: Uint8Array[] = [];
  routes.add(route.identity, (data) => void given.push(data), id(3));
  expect(heard).toEqual(['before false', 'last false']);
  expect(given.map((data) => [new TextDecoder().decode(data.subarray(88)), data.buffer.byteLength])).toEqual([['last', frame.length]]);
});

it('the last frame is copied out of its message only once, however many messages are read after that', () => {
  const { routes, route } = kit();
  const message = new Uint8Array(10_000);
  const frame = rawFrame('a', id(1), 'last');
  message.set(frame, 100);
  routes.deliver(message.subarray(100, 100 + frame.length), false);
  const given: Uint8Array[] = [];
  for (const patron of [3, 4]) {
    routes.release(message);
    routes.add(route.identity, (data) => void given.push(data), id(patron));
  }
  expect(given[1]).toBe(given[0]);
});

describe('frames that come before the server has told of their brewer', () => {
  const identity = (brewer: number) => frameIdentity(topicHash('a'), unhex(id(brewer)));

  it('are kept for each of several brewers, also if all are last values', () => {
    const { routes, receive, heard } = kit();
    for (const brewer of [5, 6]) routes.deliver(rawFrame('a', id(brewer), `of ${brewer}`), true);
    for (const brewer of [5, 6]) routes.add(identity(brewer), receive, id(2));
    routes.end();
    expect(heard).toEqual(['of 5 true', 'of 6 true']);
  });

  it('do not replace later frames for patrons that start later', () => {
    const { routes, heard } = kit();
    const read = (patron: number): void => void routes.add(identity(5), (frame) => heard.push(`${patron} ${new TextDecoder().decode(frame.subarray(88))}`), id(patron));
    routes.deliver(rawFrame('a', id(5), 'first'), false);
    read(2);
    routes.deliver(rawFrame('a', id(5), 'second'), false);
    read(3);
    read(4);
    routes.end();
    expect(heard).toEqual(['2 first', '2 second', '3 first', '3 second', '4 first', '4 second']);
  });
});

it('brewers whose ids begin with the same bytes are told apart, also after the patron of one has left', () => {
  const { routes, route, receive, heard, deliver, end } = kit();
  const alike = id(1).slice(0, 8) + 'f'.repeat(24);
  const others: string[] = [];
  const takes = (data: Uint8Array): void => void others.push(new TextDecoder().decode(data.subarray(88)));
  routes.add(frameIdentity(topicHash('a'), unhex(alike)), takes, id(2));
  deliver('one', false);
  routes.deliver(rawFrame('a', alike, 'other'), false);
  routes.delete(route, receive);
  deliver('nobody', false);
  routes.deliver(rawFrame('a', alike, 'still'), false);
  expect([heard, others, end()]).toEqual([['one false'], ['other', 'still'], 1]);
});

it('frames of a brewer that published here are delivered from elsewhere when it has no pairs here any more', () => {
  const { routes, heard, deliver } = kit();
  const brewer = { pairs: 2 };
  routes.deliver(rawFrame('a', id(1), 'published'), false, brewer);
  brewer.pairs--;
  deliver('kept', undefined);
  brewer.pairs--;
  deliver('elsewhere', undefined);
  expect(heard).toEqual(['published false', 'elsewhere undefined']);
});

it('a frame for a route that was left is not delivered, and counted as lost', () => {
  const { routes, route, receive, heard, deliver, end } = kit();
  routes.delete(route, receive);
  deliver('x', false);
  expect([heard, end()]).toEqual([[], 1]);
});
