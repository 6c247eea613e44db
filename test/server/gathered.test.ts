// What one turn of the event loop gives rise to leaves a control connection in one system call.
import { Socket } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { newId } from '../../src/core/id.js';
import { connect, start } from './harness.js';

afterEach(() => void vi.restoreAllMocks());

const BREWS = [{ name: 'elsewhere' }];

it('tells of a patron of many brewers with a few system calls, not one for each', async () => {
  const server = await start();
  const [brewers, patron] = [await connect(server), await connect(server)];
  for (let i = 0; i < 300; i++) brewers.send(10, { topic: `a.${i}`, brewer_id: newId(), brewer_config: {}, brews: BREWS });
  for (let i = 0; i < 300; i++) await brewers.expect(22);
  // Each is a system call, or begins one.
  let calls = 0;
  const count = (socket: Socket): void => void (socket.localPort === server.port && calls++);
  const { _write, _writev } = Socket.prototype;
  vi.spyOn(Socket.prototype, '_write').mockImplementation(function (this: Socket, ...given) {
    count(this);
    _write.apply(this, given);
  });
  vi.spyOn(Socket.prototype, '_writev').mockImplementation(function (this: Socket, ...given) {
    count(this);
    _writev!.apply(this, given);
  });
  patron.send(20, { topic: '**', patron_id: newId(), brews: BREWS });
  await patron.expect(12);
  for (let i = 0; i < 300; i++) await brewers.expect(22);
  expect(calls).toBe(2);
});

it('cuts nobody whose connection takes what is gathered, though it is more than may wait', async () => {
  // 16 KiB for a control connection.
  const server = await start({ limits: { bufferedBytes: 1024 } });
  const [brewer, patrons] = [await connect(server), await connect(server)];
  for (let i = 0; i < 20; i++) patrons.send(20, { topic: '**', patron_id: newId(), brews: BREWS });
  for (let i = 0; i < 20; i++) await patrons.expect(12);
  brewer.send(10, { topic: 'a', brewer_id: newId(), brewer_config: { x: 'x'.repeat(3_000) }, brews: BREWS });
  for (let i = 0; i < 20; i++) await patrons.expect(12);
  expect(server.stats().drops).toEqual({});
});
