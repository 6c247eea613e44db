import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { isReached } from '../../src/server/own-address.js';
import { isSecure, reachedBy, reachOf, type OwnName } from '../../src/server/own-relay.js';
import { id } from '../helpers.js';

describe('the own relay', () => {
  const packet = (brew: object) => ({ type: 12, payload: { patron_id: id(1), brewers: [{ topic: 'a', brewer_id: id(2), brewer_config: {}, brew: { name: 'websocket', ...brew } }] } }) as const;
  const brewOf = (authority: string, secure: boolean, brew: object, name: OwnName | '' = 'named', isForwarded = false): object => {
    const told = reachedBy({ authority, secure, isForwarded }, packet(brew) as never, (brewerId, patronId) => (brewerId === id(2) && patronId === id(1) && name ? name : undefined));
    return (told.payload as { brewers: { brew: object }[] }).brewers[0]!.brew;
  };
  it('is announced under the host name by which a client reaches its server', () => {
    expect(brewOf('a.example:9898', false, { hostname: null, ticket: 'x' })).toEqual({ name: 'websocket', hostname: 'a.example', port: 9898, secure: false, ticket: 'x' });
    expect(brewOf('a.example', true, { hostname: null })).toMatchObject({ hostname: 'a.example', port: 443, secure: true });
    expect(brewOf('[::1]', false, { hostname: null })).toMatchObject({ hostname: '[::1]', port: 80 });
    expect(brewOf('a.example', true, { hostname: 'b', port: 1 })).toEqual({ name: 'websocket', hostname: 'b', port: 1 });
    // Another relay on the brewer's machine: the patron cannot reach it, but this server's is not meant.
    expect(brewOf('a.example', true, { hostname: '127.0.0.1', port: 1 }, '')).toEqual({ name: 'websocket', hostname: '127.0.0.1', port: 1 });
    expect(brewOf('a.example', true, { name: 'mqtt', hostname: null })).toEqual({ name: 'mqtt', hostname: null });
    for (const hostname of ['127.0.0.1', 'localhost', '::1', '[::1]']) {
      expect(brewOf('a.example', true, { hostname, port: 1, secure: false })).toEqual({ name: 'websocket', hostname: 'a.example', port: 443, secure: true });
      for (const authority of ['127.0.0.1:9', '[::1]:9', 'localhost', '']) expect(brewOf(authority, false, { hostname, port: 1 })).toEqual({ name: 'websocket', hostname, port: 1 });
    }
  });

  it('is announced by loopback to a client that uses it, if the client of the brewer reaches relay and server by one address', () => {
    const far = { hostname: 'a.example', port: 443, secure: true };
    for (const authority of ['127.0.0.1:9', '[::1]:9', 'localhost:9']) {
      const hostname = authority.slice(0, -2);
      expect(brewOf(authority, false, { ...far, ticket: 'x' }, 'reached')).toEqual({ name: 'websocket', hostname, port: 9, secure: false, ticket: 'x' });
      expect(brewOf(authority, false, { hostname, port: 9, path: '/' }, 'reached')).toEqual({ name: 'websocket', hostname, port: 9, path: '/' });
      expect(brewOf(authority, false, { hostname, port: 8 }, 'reached')).toMatchObject({ hostname, port: 9 });
      expect(brewOf(authority, false, far, 'named')).toMatchObject(far);
      expect(brewOf(authority, false, { ...far, name: 'mqtt' }, 'reached')).toMatchObject(far);
    }
    for (const authority of ['b.example:9', '']) expect(brewOf(authority, false, far, 'reached')).toMatchObject(far);
  });

  it('is not announced by loopback to a client that a proxy has passed on under a loopback address of its own', () => {
    const far = { hostname: 'a.example', port: 443, secure: true };
    expect(brewOf('127.0.0.1:9', false, far, 'reached', true)).toMatchObject(far);
    expect(brewOf('127.0.0.1:9', false, { hostname: '127.0.0.1', port: 1 }, 'named', true)).toMatchObject({ hostname: '127.0.0.1', port: 1 });
    expect(brewOf('b.example:9', false, { hostname: '127.0.0.1', port: 1 }, 'named', true)).toMatchObject({ hostname: 'b.example', port: 9 });
    const reach = (headers: Record<string, string>): object => reachOf({ headers: { host: '127.0.0.1:9', ...headers } } as IncomingMessage, false);
    expect(reach({})).toEqual({ authority: '127.0.0.1:9', secure: false, isForwarded: false });
    expect(reach({ 'x-forwarded-for': '192.0.2.1' })).toEqual({ authority: '127.0.0.1:9', secure: false, isForwarded: true });
    expect(reach({ 'x-forwarded-proto': 'https' })).toEqual({ authority: '127.0.0.1:9', secure: true, isForwarded: true });
  });

  it.each([
    ['a.example', 443, true, 'a.example', true],
    ['A.example', '443', true, 'a.EXAMPLE:443', true],
    ['a.example', '', false, 'a.example', true],
    ['::1', 9, false, '[::1]:9', true],
    ['[::1]', 9, false, '[::1]:9', true],
    ['a.example', 443, true, '127.0.0.1:9898', false],
    ['a.example', 8000, false, 'a.example:9898', false],
    [null, null, false, 'a.example', false],
  ])('%j, port %j, secure %j is where a client of %j reaches its server: %j', (hostname, port, secure, authority, expected) => {
    expect(isReached({ name: 'websocket', hostname, port, secure }, authority)).toBe(expected);
  });

  it('is reached by TLS when the server, a proxy or the origin of the page says so', () => {
    const plain = { isTls: false, forwarded: undefined, origin: undefined, authority: 'a.example' };
    expect(isSecure(plain)).toBe(false);
    expect(isSecure({ ...plain, isTls: true })).toBe(true);
    expect(isSecure({ ...plain, forwarded: 'https' })).toBe(true);
    expect(isSecure({ ...plain, forwarded: 'http', origin: 'https://a.example' })).toBe(false);
    expect(isSecure({ ...plain, origin: 'https://a.example' })).toBe(true);
    expect(isSecure({ ...plain, origin: 'https://other.example' })).toBe(false);
    expect(isSecure({ ...plain, authority: 'a.example:443' })).toBe(true);
  });
});
