import { describe, expect, it } from 'vitest';
import { BrewStates } from '../../src/brews/internal/brew-states.js';
import { Heard } from '../../src/brews/internal/heard.js';
import type { Packet } from '../../src/core/packet.js';
import { Sent } from '../../src/brews/internal/sent.js';
import { id, settle } from '../helpers.js';
import { sealedFrame } from '../sealed-frame.js';

// What is kept in case a pair moves: by a patron, which messages it has received; by a brewer, which it has sent; by a client, which brews are down.

describe('Heard', () => {
  const message = (sequence: number) => sealedFrame(Buffer.from(String(sequence)), { topic: 'a', brewerId: id(1), key: Buffer.alloc(32), epoch: '0011223344556677', sequence });
  const news = (heard: Heard, ...sequences: number[]) => sequences.filter((sequence) => heard.isNews(message(sequence), false));

  it('skips, after a move, messages that were brewed before the first one that came', () => {
    const heard = new Heard();
    expect(news(heard, 5, 6, 9)).toEqual([5, 6, 9]);
    heard.move();
    expect(news(heard, 3, 4, 5, 6, 7, 8, 9, 10)).toEqual([7, 8, 10]);
  });

  it('recognises messages that it has also when missed ones come before them', () => {
    const heard = new Heard();
    const numbers = Array.from({ length: 562 }, (_, number) => number);
    news(heard, 0, ...numbers.slice(50)); // as many as are kept
    heard.move();
    expect(news(heard, ...numbers.slice(20))).toEqual(numbers.slice(20, 50));
    expect(news(heard, 562, 563)).toEqual([562, 563]);
    heard.move();
    expect(news(heard, ...numbers.slice(52), 562, 563)).toEqual([]);
  });

  it('skips, for a pair that began over a relay, messages before the first one of a session, which only other patrons may have missed', () => {
    const heard = new Heard(true);
    heard.move();
    expect(news(heard, 5, 4, 7, 6, 3)).toEqual([5, 7, 6]);
    heard.move(true);
    expect(news(heard, 4, 7, 8)).toEqual([8]);
  });

  it('skips no late message of a session that began after a move', () => {
    const heard = new Heard(true);
    heard.move();
    heard.move(true);
    expect(news(heard, 5, 4, 5000 - 1025)).toEqual([5, 4, 5000 - 1025]);
  });

  it('skips nothing before a move, and after a forged first message no more than a window', () => {
    const heard = new Heard();
    expect(news(heard, 5000, 4999)).toEqual([5000, 4999]);
    heard.move();
    expect(news(heard, 5000 - 1025, 5000 - 1024, 5001)).toEqual([5000 - 1025, 5001]);
  });
});

describe('Sent', () => {
  it('keeps at most the last 512 frames and 1 MiB', () => {
    const sent = new Sent();
    for (let i = 0; i < 600; i++) sent.add(Uint8Array.of(i & 255));
    expect(sent.since(0)).toHaveLength(512);
    expect(sent.since(598)).toEqual([Uint8Array.of(598 & 255), Uint8Array.of(599 & 255)]);
    expect(sent.since(600)).toEqual([]);
    for (let i = 0; i < 3; i++) sent.add(new Uint8Array(400_000));
    expect(sent.since(0)).toHaveLength(2);
  });
});

describe('BrewStates', () => {
  it('sends each change once, and to a new server, once in a tick, what is down', async () => {
    const told: unknown[] = [];
    const states = new BrewStates('x', ({ payload }: Packet) => told.push(payload));
    const hello = { brew: 'x', state: 'up', moves: true };
    states.set('x', true);
    states.set('x', false);
    states.set('x', false);
    states.set('x', false, { brewerId: 'b', patronId: 'p' });
    expect(told.splice(0)).toEqual([
      { brew: 'x', state: 'down' },
      { brew: 'x', state: 'down', brewer_id: 'b', patron_id: 'p' },
    ]);
    states.set('x', true);
    expect(told.splice(0)).toEqual([{ brew: 'x', state: 'up' }]);
    states.set('x', false, { brewerId: 'b', patronId: 'q' });
    told.length = 0;
    states.forget({ brewerId: 'b', patronId: 'q' });
    expect(told.splice(0)).toEqual([{ brew: 'x', state: 'up', brewer_id: 'b', patron_id: 'q' }]);
    states.repeat();
    states.repeat();
    expect(told.splice(0)).toEqual([hello, { brew: 'x', state: 'down', brewer_id: 'b', patron_id: 'p' }]);
    await settle();
    states.clear('x');
    states.repeat();
    expect(told).toEqual([hello]);
  });
});
