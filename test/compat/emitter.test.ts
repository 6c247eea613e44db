import { describe, expect, it } from 'vitest';
import { PubkeeperClient, WebSocketBrew } from '../../src/compat/index.js';
import { PubkeeperError } from '../../src/index.js';

const emitter = () => new PubkeeperClient({ server: 'ws://127.0.0.1:9', jwt: 'x', brews: [new WebSocketBrew()] });
const failure = (message: string) => new PubkeeperError('BREW_FAILED', message);

describe('a client as an event emitter', () => {
  it('on() and addListener() call the listener at each event, and emit() returns whether there was a listener', () => {
    const client = emitter();
    const calls: string[] = [];
    expect(client.emit('connected')).toBe(false);
    expect(client.on('connected', () => calls.push('on'))).toBe(client);
    expect(client.addListener('connected', () => calls.push('addListener'))).toBe(client);
    expect(client.emit('connected')).toBe(true);
    expect(client.emit('connected')).toBe(true);
    expect(client.emit('closed')).toBe(false);
    expect(calls).toEqual(['on', 'addListener', 'on', 'addListener']);
  });

  it('refuses a listener that is not a function', () => {
    const client = emitter();
    for (const listener of [undefined, null, 'text', {}]) {
      for (const name of ['on', 'once', 'addListener'] as const) {
        expect(() => client[name]('connected', listener as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
      }
    }
    expect(client.listenerCount('connected')).toBe(0);
  });

  it('passes what was emitted', () => {
    const client = emitter();
    const seen: unknown[] = [];
    client.on('statuschange', (change) => seen.push(change));
    client.on('error', (error) => seen.push(error));
    const change = { target: client, status: 'dead' } as const;
    const error = failure('x');
    client.emit('statuschange', change);
    client.emit('error', error);
    expect(seen).toEqual([change, error]);
  });

  it('once() calls the listener a single time, also when the listener emits the event again', () => {
    const client = emitter();
    let calls = 0;
    client.once('connected', () => {
      calls++;
      client.emit('connected');
    });
    client.emit('connected');
    client.emit('connected');
    expect(calls).toBe(1);
    expect(client.listenerCount('connected')).toBe(0);
  });

  it('once() calls the listener a single time, also when an earlier listener emits the event again', () => {
    const client = emitter();
    const calls: string[] = [];
    client.once('connected', () => {
      calls.push('first');
      client.emit('connected');
    });
    client.once('connected', () => calls.push('second'));
    client.emit('connected');
    expect(calls).toEqual(['first', 'second']);
  });

  it('is `this` in a listener', () => {
    const client = emitter();
    const seen: unknown[] = [];
    client.on('connected', function () {
      seen.push(this, this.status);
    });
    client.emit('connected');
    expect(seen).toEqual([client, 'disconnected']);
  });

  it('off() and removeListener() remove one registration of a listener, also one made by once()', () => {
    const client = emitter();
    let calls = 0;
    const listener = () => void calls++;
    client.on('closed', listener).on('closed', listener).once('closed', listener);
    expect(client.listenerCount('closed')).toBe(3);
    expect(client.off('closed', listener)).toBe(client);
    expect(client.removeListener('closed', listener)).toBe(client);
    expect(client.listenerCount('closed')).toBe(1);
    client.emit('closed');
    client.emit('closed');
    expect(calls).toBe(2);
    client.off('closed', listener).off('closed', listener);
    client.off('error', () => undefined);
    expect(client.emit('closed')).toBe(false);
  });

  it('removeAllListeners() removes the listeners of one event, or all', () => {
    const client = emitter();
    const add = () => client.on('connected', () => undefined).on('closed', () => undefined);
    add().removeAllListeners('connected');
    expect([client.listenerCount('connected'), client.listenerCount('closed')]).toEqual([0, 1]);
    expect(add().removeAllListeners()).toBe(client);
    expect([client.listenerCount('connected'), client.listenerCount('closed')]).toEqual([0, 0]);
  });

  it.each([Symbol('mine'), 7])('removeAllListeners() removes the listeners of %s too', (key) => {
    const name = key as unknown as 'connected';
    for (const which of [undefined, name]) expect(emitter().on(name, () => undefined).removeAllListeners(which).listenerCount(name)).toBe(0);
  });

  it('lets listeners add and remove listeners while they are called', () => {
    const client = emitter();
    const calls: string[] = [];
    const second = () => void calls.push('second');
    client.on('connected', () => {
      calls.push('first');
      client.off('connected', second);
      client.on('connected', () => calls.push('third'));
    });
    client.on('connected', second);
    client.emit('connected');
    expect(calls).toEqual(['first', 'second']);
  });

  it('has no events named like properties of Object.prototype', () => {
    const client = emitter();
    expect(Reflect.apply(client.emit, client, ['toString'])).toBe(false);
    expect(Reflect.apply(client.listenerCount, client, ['constructor'])).toBe(0);
  });
});

describe('a listener that fails', () => {
  it('causes an error event, and the other listeners are called', async () => {
    const client = emitter();
    const errors: PubkeeperError[] = [];
    const calls: string[] = [];
    client.on('error', (error) => errors.push(error));
    client.on('connected', () => {
      throw new Error('at once');
    });
    client.on('connected', () => Promise.reject(new Error('later')));
    client.on('connected', () => calls.push('called'));
    client.emit('connected');
    await Promise.resolve();
    await Promise.resolve();
    expect(calls).toEqual(['called']);
    expect(errors.map(({ code, cause }) => [code, (cause as Error).message])).toEqual([
      ['CALLBACK_FAILED', 'at once'],
      ['CALLBACK_FAILED', 'later'],
    ]);
  });

  it.each([
    ['error itself', () => emitter() as unknown as WebSocketBrew, 'error' as const],
    ['another event of a brew, which has no client', () => new WebSocketBrew(), 'mine' as 'error'],
  ])('is logged when it is a listener of %s', (_what, make: () => WebSocketBrew, name) => {
    const target = make();
    const logged: unknown[] = [];
    const { error } = console;
    console.error = (...data: unknown[]) => void logged.push(...data);
    try {
      target.on(name, () => {
        throw new Error('again');
      });
      target.emit(name, failure('first'));
    } finally {
      console.error = error;
    }
    expect(logged).toEqual([new Error('again')]);
  });
});
