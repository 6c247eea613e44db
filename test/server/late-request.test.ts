import { IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { LateRequest } from '../../src/server/late-request.js';

/** Node's types lack the property that its parser reads. */
type Upgradable = LateRequest & { upgrade: boolean };

/** Makes a request whose base class, as that of Bun, takes the socket from its last argument; it records the arguments too. */
function ofRuntime(...args: readonly unknown[]): { request: Upgradable; taken: readonly unknown[] } {
  let taken: readonly unknown[] = [];
  class OfBun extends IncomingMessage {
    constructor(...given: readonly unknown[]) {
      super(given.at(-1) as Socket);
      taken = given;
    }
  }
  Object.setPrototypeOf(LateRequest, OfBun);
  try {
    return { request: Reflect.construct(LateRequest, args) as Upgradable, taken };
  } finally {
    Object.setPrototypeOf(LateRequest, IncomingMessage);
  }
}

it('LateRequest passes all arguments of a runtime on: Node gives a socket, Deno more, and Bun eight arguments with the socket last', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const args = [Symbol('type'), 'GET', '/ws', undefined, undefined, {}, false, socket];
  const { request, taken } = ofRuntime(...args);
  expect(taken.length).toBe(args.length);
  expect(taken.findIndex((argument, index) => argument !== args[index])).toBe(-1);
  expect(request.socket).toBe(socket);
  request.upgrade = false;
  expect(request.upgrade).toBe(false);

  socket.destroy();
  const late = ofRuntime(...args).request;
  late.upgrade = false;
  expect(late.upgrade).toBe(true);
  server.close();
});
