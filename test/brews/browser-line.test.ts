import { expect, it } from 'vitest';
import type { LineOwner } from '../../src/brews/internal/broker-line.js';
import type { BrewHost } from '../../src/core/index.js';
import { dial as dialMqtt } from '../../src/platform/browser-mqtt.js';
import { dial as dialNats } from '../../src/platform/browser-nats.js';

// The error of a brew in a page for a broker that it cannot reach.

const owner: LineOwner = { message: () => undefined, ended: () => undefined, gone: new AbortController().signal };

it.each([
  ['mqtt://127.0.0.1:1883', (urls: string[]) => dialMqtt({ urls, credentials: {} }, owner, undefined, { qos: 0, most: Infinity })],
  ['nats://127.0.0.1:4222', (urls: string[]) => dialNats({ urls, credentials: {} }, owner, {} as BrewHost, new Set())],
])('a page cannot connect to %s, and the error says which address to give instead', async (url, dial) => {
  await expect(dial([url])).rejects.toMatchObject({
    code: 'CONNECT_FAILED',
    message: expect.stringMatching(/^A page cannot connect to \S+, but to WebSockets only: give this \w+Brew the ws:\/\/ or wss:\/\/ address of the broker as the url/) as string,
    details: { url },
  });
});
