import { IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { LateRequest } from '../../src/server/late-request.js';

/** Node's types do not have what its parser looks at. */
type Upgradable = LateRequest & { upgrade: boolean };

/** Makes one where the class that it extends keeps the arguments as well, and makes a request of the last of them, as that of Bun does. */
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

it('hands on all that a runtime makes it of: Node a socket, Deno more, and Bun eight arguments, the socket being the last', async () => {
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
