import { describe, expect, it } from 'vitest';
import { RelayPacketType } from '../../src/core/relay.js';
import { sealedFrame } from '../sealed-frame.js';
import { Bench, frame, ID, messages, packet, records } from './relay-bench.js';

// What a relay gathers in a tick, and how long the messages are that it sends and takes.

const { JOIN, LEAVE, PUBLISH } = RelayPacketType;

describe('Relay', () => {
  it('writes once to each connection what is published in a tick, and encodes it once for all of one protocol', () => {
    const bench = new Bench();
    for (const name of ['1', '2', '3', 'old1', 'old2']) bench.relay.receive(name, packet(JOIN, 'a'));
    const batch = Buffer.concat(['x', 'y', 'z'].map((text) => packet(PUBLISH, 'a', frame('a', text))));
    bench.relay.receive('9', batch);
    expect([bench.corks, bench.written.length]).toEqual([1, 0]);
    bench.relay.flush();
    expect(bench.written.map(({ to }) => to.name)).toEqual(['1', '2', '3', 'old1', 'old2']);
    const [one, two, three, old1, old2] = bench.written.map(({ bytes }) => bytes);
    expect([two === one, three === one, old2 === old1, old1 === one]).toEqual([true, true, true, false]);
    expect(messages(one!).map(records)).toEqual([['x', 'y', 'z']]);
    expect(messages(old1!).map((message) => message.toString('utf8', 88))).toEqual(['x', 'y', 'z']);
    expect(bench.relay.delivered).toBe(15);
  });

  it('keeps the last of several frames of a tick as the last value', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'a'));
    for (const text of ['x', 'y', 'z']) bench.publish('1', 'a', text);
    bench.take();
    bench.relay.receive('3', packet(JOIN, 'a'));
    expect(bench.take()).toEqual(['3 z*']);
  });

  it('drops a frame that is longer than maxMessage, but accepts a sealed bundle of up to 64 KiB', () => {
    const bench = new Bench({ maxMessage: 1000 });
    bench.relay.receive('2', packet(JOIN, 'a'));
    const sealed = (length: number, flags: number): Uint8Array =>
      sealedFrame(Buffer.alloc(length), { topic: 'a', brewerId: Buffer.from(ID).toString('hex'), key: Buffer.alloc(32), epoch: '0'.repeat(16), sequence: 0, flags });
    // Only a sealed frame can be a bundle.
    const unsealed = frame('a', 'x'.repeat(1033));
    unsealed[51] = 1;
    const frames = [frame('a', 'x'.repeat(1032)), sealed(1000, 0), sealed(64 * 1024 + 16, 1), frame('a', 'x'.repeat(1033)), sealed(1017, 0), sealed(64 * 1024 + 17, 1), unsealed];
    for (const one of frames) bench.relay.receive('1', packet(PUBLISH, 'a', one));
    expect([bench.relay.published, bench.faults]).toEqual([3, Array(4).fill('1 too-long')]);
  });

  it('sends each connection all frames of a tick except its own', () => {
    const bench = new Bench();
    for (const name of ['1', '2', '3']) bench.relay.receive(name, packet(JOIN, 'a'));
    bench.publish('1', 'a', 'of 1');
    bench.publish('2', 'a', 'of 2');
    bench.publish('1', 'a', 'of 1 too');
    expect(bench.take()).toEqual(['1 of 2', '2 of 1', '2 of 1 too', '3 of 1', '3 of 2', '3 of 1 too']);
  });

  it('fills messages up to 64 KiB, and gives a longer frame a message of its own', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'a'));
    // With both headers, a text of 55,344 bytes exactly fills a message after one of 10,000; 55,345 are too many.
    const wanted = [[10_000, 30_000], [30_000], [70_000], [100, 65_000], [10_000, 55_344], [10_000], [55_345]];
    const texts = wanted.flat().map((length, index) => String.fromCharCode(97 + index).repeat(length));
    for (const text of texts) bench.publish('1', 'a', text);
    bench.relay.flush();
    const sent = bench.written.flatMap(({ bytes }) => messages(bytes)).map(records);
    expect(sent.map((message) => message.map(({ length }) => length))).toEqual(wanted);
    expect(sent.flat()).toEqual(texts);
  });

  it('sends a connection that joins or leaves within a tick only what was published while it had joined', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'one');
    bench.relay.receive('3', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'two');
    bench.relay.receive('2', packet(LEAVE, 'a'));
    bench.publish('1', 'a', 'three');
    expect(bench.take()).toEqual(['2 one', '3 one*', '2 two', '3 two', '3 three']);
  });
});
