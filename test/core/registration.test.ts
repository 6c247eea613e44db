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
  it('adds what the answer lists, then what is notified one by one', () => {
    registration.expectAnswer();
    registration.notify([{ id: 'a' }, { id: 'b' }]);
    registration.notify([{ id: 'c' }]);
    expect(heard()).toEqual(['add a,b', 'add c']);
  });

  it('is answered by an empty list too, and adds nothing', () => {
    registration.notify([{ id: 'a' }]);
    heard();
    registration.expectAnswer();
    registration.notify([]);
    expect(heard()).toEqual([]);
    registration.expire(0);
    expect(heard()).toEqual(['remove a']);
  });

  it('after a reconnect touches what changed only, and keeps what is missing until it expires', () => {
    registration.notify([{ id: 'same' }, { id: 'changed', key: '1' }, { id: 'gone' }, { id: 'late' }]);
    heard();
    registration.expectAnswer();
    registration.notify([{ id: 'same' }, { id: 'changed', key: '2' }, { id: 'new' }]);
    expect(heard()).toEqual(['renew same', 'add changed2,new']);
    registration.notify([{ id: 'late' }]); // back in time, and as it was
    expect(heard()).toEqual(['renew late']);
    registration.expire(0);
    expect(heard()).toEqual(['remove gone']);
    registration.expire(0);
    expect(heard()).toEqual([]);
  });

  it('renews a pair of which nothing but the ticket has changed', () => {
    const info = (ticket?: string, port = 1) => ({ id: 'a', brew: { name: 'x', port, ...(ticket && { ticket }) } });
    registration.notify([info('old')]);
    registration.notify([info('new')]);
    expect(heard()).toEqual(['add a', 'renew a']);
    registration.notify([info('new', 2)]);
    expect(heard()).toEqual(['add a']);
  });

  it('takes a peer whose details are nested deeper than JSON.stringify goes, and the others beside it', () => {
    const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as unknown;
    registration.notify([{ id: 'deep', deep }, { id: 'b' }]);
    registration.expectAnswer();
    registration.notify([{ id: 'deep', key: '2', deep }, { id: 'b' }]); // nobody can tell what has changed
    registration.removed('deep');
    expect(heard()).toEqual(['add deep,b', 'renew b', 'add deep2', 'remove deep']);
  });

  it('a live match does not make the others missing', () => {
    registration.notify([{ id: 'a' }]);
    registration.notify([{ id: 'b' }]);
    registration.expire(0);
    expect(heard()).toEqual(['add a', 'add b']);
  });

  it('removes each peer once, and only those it knows', () => {
    registration.notify([{ id: 'a' }]);
    registration.removed('x');
    registration.removed('a');
    registration.removed('a');
    expect(heard()).toEqual(['add a', 'remove a']);
    registration.expire(0);
    registration.notify([{ id: 'a' }]);
    expect(heard()).toEqual(['add a']);
  });

  it('removes at once what is missing when the server says so', () => {
    registration.notify([{ id: 'a' }]);
    registration.expectAnswer();
    registration.notify([]);
    registration.removed('a');
    registration.expire(0);
    expect(heard()).toEqual(['add a', 'remove a']);
  });

  it('forgets all without a word when it is cleared', () => {
    registration.notify([{ id: 'a' }]);
    registration.expectAnswer();
    registration.notify([]);
    registration.clear();
    registration.expire(0);
    expect(heard()).toEqual(['add a']);
    registration.notify([{ id: 'a' }]);
    expect(heard()).toEqual(['add a']);
  });

  it('takes ids like __proto__ as any other', () => {
    registration.notify([{ id: '__proto__' }, { id: 'constructor' }]);
    registration.removed('__proto__');
    expect(heard()).toEqual(['add __proto__,constructor', 'remove __proto__']);
  });
});
