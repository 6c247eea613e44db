import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Drops, type Drop } from '../../src/core/drops.js';
import { asPubkeeperError, PubkeeperError } from '../../src/core/errors.js';
import { Events } from '../../src/core/events.js';

interface Names {
  a: number;
  b: string;
  __proto__: number;
  constructor: number;
}

describe('Events', () => {
  it('calls the listeners of a name in the order in which they were added, and returns whether there were any', () => {
    const events = new Events<Names>();
    const heard: string[] = [];
    events.on('a', (value) => heard.push(`1:${value}`));
    events.on('a', (value) => heard.push(`2:${value}`));
    expect(events.emit('a', 7)).toBe(true);
    expect(events.emit('b', 'x')).toBe(false);
    expect(heard).toEqual(['1:7', '2:7']);
  });

  it('the function that on() returns removes that listener only', () => {
    const events = new Events<Names>();
    const listener = vi.fn();
    const first = events.on('a', listener);
    events.on('a', listener);
    first();
    first(); // a second call must not remove the other registration
    events.emit('a', 1);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('emit() returns false when the last listener was removed', () => {
    const events = new Events<Names>();
    events.on('a', () => undefined)();
    expect(events.emit('a', 1)).toBe(false);
  });

  it('allows listeners to add and remove listeners while it emits', () => {
    const events = new Events<Names>();
    const late = vi.fn();
    const second = vi.fn();
    events.on('a', () => {
      undo();
      events.on('a', late);
    });
    const undo = events.on('a', second);
    events.emit('a', 1);
    expect(second).toHaveBeenCalledTimes(1);
    expect(late).not.toHaveBeenCalled();
    events.emit('a', 2);
    expect(second).toHaveBeenCalledTimes(1);
    expect(late).toHaveBeenCalledTimes(1);
  });

  it('treats names of Object.prototype as any other', () => {
    const events = new Events<Names>();
    const heard = vi.fn();
    expect(events.emit('__proto__', 1)).toBe(false);
    expect(events.emit('constructor', 1)).toBe(false);
    events.on('__proto__', heard);
    events.on('constructor', heard);
    events.emit('__proto__', 1);
    events.emit('constructor', 2);
    expect(heard.mock.calls).toEqual([[1], [2]]);
  });

  it('calls the other listeners when one throws, and the exception surfaces as an uncaught one', async () => {
    const events = new Events<Names>();
    const heard = vi.fn();
    const others = process.rawListeners('uncaughtException') as NodeJS.UncaughtExceptionListener[];
    process.removeAllListeners('uncaughtException');
    const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve));
    try {
      events.on('a', () => {
        throw new Error('of a listener');
      });
      events.on('a', heard);
      expect(events.emit('a', 1)).toBe(true);
      expect(heard).toHaveBeenCalledWith(1);
      expect(await uncaught).toHaveProperty('message', 'of a listener');
    } finally {
      for (const listener of others) process.on('uncaughtException', listener);
    }
  });
});

describe('Drops', () => {
  afterEach(() => void vi.useRealTimers());

  it('counts each reason, and reports each once per burst', () => {
    vi.useFakeTimers();
    const reports: Drop[] = [];
    const drops = new Drops((drop) => reports.push(drop));
    for (let i = 0; i < 1000; i++) drops.add('malformed', 'x');
    drops.add('replayed', 'y', 3);
    drops.add('replayed', undefined);
    expect(reports).toEqual([]);
    vi.advanceTimersByTime(1000);
    expect(reports).toEqual([
      { reason: 'malformed', count: 1000, brewerId: 'x' },
      { reason: 'replayed', count: 4, brewerId: undefined },
    ]);
    drops.add('malformed', 'z');
    vi.advanceTimersByTime(1000);
    expect(reports[2]).toEqual({ reason: 'malformed', count: 1, brewerId: 'z' });
    expect(drops.counts).toEqual({ malformed: 1001, replayed: 4 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('reports at once when flushed, and not a second time', () => {
    vi.useFakeTimers();
    const report = vi.fn();
    const drops = new Drops(report);
    drops.add('reset', 'x', 2);
    drops.flush();
    expect(report).toHaveBeenCalledExactlyOnceWith({ reason: 'reset', count: 2, brewerId: 'x' });
    vi.advanceTimersByTime(1000);
    expect(report).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('PubkeeperError', () => {
  it('has a code, a message, details and a cause', () => {
    const cause = new Error('beneath');
    const error = new PubkeeperError('TIMEOUT', 'Too late.', { ms: 5 }, cause);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'PubkeeperError', code: 'TIMEOUT', message: 'Too late.', details: { ms: 5 }, cause });
    expect('cause' in new PubkeeperError('TIMEOUT', 'x')).toBe(false);
  });

  it('can be made where Error.prototype is frozen', () => {
    const code = `import { PubkeeperError } from ${JSON.stringify(new URL('../../dist/core/index.js', import.meta.url).href)};
      Object.freeze(Error.prototype);
      console.log(new PubkeeperError('TIMEOUT', 'Too late.').name);`;
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })).toBe('PubkeeperError\n');
  });

  it('is returned unchanged by asPubkeeperError, which wraps everything else', () => {
    const error = new PubkeeperError('TIMEOUT', 'Too late.');
    expect(asPubkeeperError(error, 'BREW_FAILED', 'x')).toBe(error);
    expect(asPubkeeperError('text', 'BREW_FAILED', 'x')).toMatchObject({ code: 'BREW_FAILED', message: 'x', cause: 'text' });
  });
});
