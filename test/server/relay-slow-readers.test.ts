import { describe, expect, it } from 'vitest';
import { RelayPacketType } from '../../src/core/relay.js';
import { Bench, packet } from './relay-bench.js';

// Readers whose sockets are full: what they get later, and which publishers are named to full().

const { JOIN } = RelayPacketType;

describe('Relay', () => {
  it('sends a reader that joins a topic while it is behind the last value, marked as one, when it has drained', () => {
    let full = false;
    const bench: Bench = new Bench({ write: (to, bytes) => !full && bench.written.push({ to, bytes }) > 0 });
    for (const topic of ['old', 'new']) bench.publish('1', topic, topic);
    bench.relay.receive('2', packet(JOIN, 'a'));
    full = true;
    bench.publish('1', 'a', 'missed');
    bench.take();
    for (const topic of ['old', 'new']) bench.relay.receive('2', packet(JOIN, topic));
    bench.publish('1', 'new', 'newer');
    bench.take();
    full = false;
    bench.relay.drained('2');
    expect(bench.take()).toEqual(['2 missed', '2 old*', '2 newer']);
  });

  it('sends a drained reader nothing of a topic whose newest frame is its own, and marks no missed frame as a last value', () => {
    let isFull = false;
    const bench: Bench = new Bench({ write: (to, bytes) => !isFull && bench.written.push({ to, bytes }) > 0 });
    for (const topic of ['a', 'b']) bench.relay.receive('2', packet(JOIN, topic));
    isFull = true;
    for (const topic of ['a', 'b']) bench.publish('1', topic, `missed on ${topic}`);
    bench.take();
    bench.publish('2', 'a', 'its own');
    bench.relay.receive('2', packet(JOIN, 'b'));
    bench.take();
    isFull = false;
    bench.relay.drained('2');
    expect(bench.take()).toEqual(['2 missed on b']);
  });

  it('sends a reader that is behind nothing until it has drained, and then only the last values that are still kept', () => {
    let isFull = true;
    const bench: Bench = new Bench({ write: (to, bytes) => !isFull && bench.written.push({ to, bytes }) > 0, maxRetained: 1 });
    for (const topic of ['a', 'b']) {
      bench.relay.receive('2', packet(JOIN, topic));
      bench.publish('1', topic, `missed on ${topic}`);
      bench.take();
    }
    isFull = false;
    bench.publish('1', 'b', 'newest');
    expect(bench.take()).toEqual([]);
    bench.relay.drained('2');
    expect(bench.take()).toEqual(['2 newest']);
    isFull = true;
    bench.publish('1', 'a', 'missed');
    bench.take();
    bench.relay.gone('2');
    isFull = false;
    bench.relay.receive('2', packet(JOIN, 'b'));
    bench.publish('1', 'b', 'x');
    expect(bench.take()).toEqual(['2 x']);
  });

  it('names the publishers of a full reader, and says whether anybody else reads what they publish', () => {
    const told: unknown[] = [];
    const bench: Bench = new Bench({
      full: (reader, publishers, others) => void told.push([reader.name, [...publishers].map((one) => [one.name, others(one)])]),
    });
    Object.assign(bench.member('2'), { isFull: true });
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'x');
    bench.take();
    bench.relay.receive('3', packet(JOIN, 'b'));
    bench.publish('1', 'b', 'x');
    bench.publish('1', 'a', 'x');
    bench.publish('4', 'a', 'x');
    bench.take();
    expect(told.splice(0)).toEqual([['2', [['1', false]]], ['2', [['1', true], ['4', false]]]]);
    const publish = (): unknown => (bench.publish('1', 'a', 'x'), bench.take(), told.pop());
    Object.assign(bench.member('3'), { isFull: true });
    expect(publish()).toEqual(['2', [['1', false]]]);
    Object.assign(bench.member('3'), { isFull: false });
    bench.relay.age();
    expect(publish()).toEqual(['2', [['1', true]]]);
    bench.relay.age(); // nothing was published on b since the previous call
    expect(publish()).toEqual(['2', [['1', false]]]);
  });

  it('writes a full message at once, so that a full reader is noticed', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'x'.repeat(65_000));
    expect(bench.written.length).toBe(0);
    bench.publish('1', 'a', 'x'.repeat(65_448));
    expect(bench.written.length).toBe(2);
    for (let i = 0; i < 3; i++) bench.publish('1', 'a', 'x'.repeat(25_000));
    expect(bench.written.length).toBe(3);
  });
});
