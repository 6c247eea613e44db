import { beforeEach, describe, expect, it } from 'vitest';
import { Registration } from '../../src/core/registration.js';

interface Info {
  readonly id: string;
  readonly key?: string;
  readonly deep?: unknown;
  readonly brew?: unknown;
}

let calls: string[];
let registration: Registration<Info>;
beforeEach(() => {
  calls = [];
  registration = new Registration<Info>(
    ({ id }) => id,
    (infos) => calls.push(`add ${infos.map(({ id, key }) => id + (key ?? '')).join(',')}`),
    (id) => calls.push(`remove ${id}`),
    ({ id }) => calls.push(`renew ${id}`),
  );
});
const heard = (): string[] => calls.splice(0);

describe('Registration', () => {
  it('adds peers of the answer, then those of each later notification', () => {
    registration.expectAnswer();
    registration.notify([{ id: 'a' }, { id: 'b' }]);
    registration.notify([{ id: 'c' }]);
    expect(heard()).toEqual(['add a,b', 'add c']);
  });

  it('accepts an empty answer, which makes the former peers missing', () => {
    registration.notify([{ id: 'a' }]);
    heard();
    registration.expectAnswer();
    registration.notify([]);
    expect(heard()).toEqual([]);
    registration.expire(0);
    expect(heard()).toEqual(['remove a']);
  });

  it('after a reconnect restarts changed peers only, and keeps missing ones until they expire', () => {
    registration.notify([{ id: 'same' }, { id: 'changed', key: '1' }, { id: 'gone' }, { id: 'late' }]);
    heard();
    registration.expectAnswer();
    registration.notify([{ id: 'same' }, { id: 'changed', key: '2' }, { id: 'new' }]);
    expect(heard()).toEqual(['renew same', 'add changed2,new']);
    registration.notify([{ id: 'late' }]); // back in time, and unchanged
    expect(heard()).toEqual(['renew late']);
    registration.expire(0);
    expect(heard()).toEqual(['remove gone']);
    registration.expire(0);
    expect(heard()).toEqual([]);
  });

  it('renews a pair of which only the ticket has changed', () => {
    const info = (ticket?: string, port = 1) => ({ id: 'a', brew: { name: 'x', port, ...(ticket && { ticket }) } });
    registration.notify([info('old')]);
    registration.notify([info('new')]);
    expect(heard()).toEqual(['add a', 'renew a']);
    registration.notify([info('new', 2)]);
    expect(heard()).toEqual(['add a']);
  });

  it('accepts a peer whose details are nested too deep for JSON.stringify, and the others of its list', () => {
    const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as unknown;
    registration.notify([{ id: 'deep', deep }, { id: 'b' }]);
    registration.expectAnswer();
    registration.notify([{ id: 'deep', key: '2', deep }, { id: 'b' }]); // its details cannot be compared, so it counts as changed
    registration.removed('deep');
    expect(heard()).toEqual(['add deep,b', 'renew b', 'add deep2', 'remove deep']);
  });

  it('does not treat peers as missing that a later notification does not list', () => {
    registration.notify([{ id: 'a' }]);
    registration.notify([{ id: 'b' }]);
    registration.expire(0);
    expect(heard()).toEqual(['add a', 'add b']);
  });

  it('removes each peer once, and only peers that it has', () => {
    registration.notify([{ id: 'a' }]);
    registration.removed('x');
    registration.removed('a');
    registration.removed('a');
    expect(heard()).toEqual(['add a', 'remove a']);
    registration.expire(0);
    registration.notify([{ id: 'a' }]);
    expect(heard()).toEqual(['add a']);
  });

  it('removes a missing peer at once when the server says so', () => {
    registration.notify([{ id: 'a' }]);
    registration.expectAnswer();
    registration.notify([]);
    registration.removed('a');
    registration.expire(0);
    expect(heard()).toEqual(['add a', 'remove a']);
  });

  it('discards all peers without calls when it is cleared', () => {
    registration.notify([{ id: 'a' }]);
    registration.expectAnswer();
    registration.notify([]);
    registration.clear();
    registration.expire(0);
    expect(heard()).toEqual(['add a']);
    registration.notify([{ id: 'a' }]);
    expect(heard()).toEqual(['add a']);
  });

  it('treats ids like __proto__ as any other', () => {
    registration.notify([{ id: '__proto__' }, { id: 'constructor' }]);
    registration.removed('__proto__');
    expect(heard()).toEqual(['add __proto__,constructor', 'remove __proto__']);
  });
});
