import { createElement as h, type ReactElement } from 'react';
import { renderToString } from 'react-dom/server';
import { expect, it } from 'vitest';
import { PubkeeperClient, type PubkeeperError } from '../src/index.js';
import { PubkeeperProvider, useBrewer, useLatest, usePatron, usePubkeeper } from '../src/react/index.js';

// Rendering on a server; e2e/react.test.ts shows the hooks in a browser.

class NoSocket {
  constructor() {
    throw new Error('A server that renders must not connect.');
  }
}
const newClient = () => new PubkeeperClient({ server: 'ws://nowhere/ws', token: 'secret', WebSocket: NoSocket as never });

function Everything(): ReactElement {
  const { state, error } = usePubkeeper();
  const { messages, isMatched } = usePatron('a.**');
  const latest = useLatest('a.b');
  const brewer = useBrewer('a.b');
  return h('p', null, JSON.stringify([state, error ?? null, messages, isMatched, latest ?? null, brewer.isMatched]));
}

it('hooks render on a server the initial state of a page, and connect to nothing', () => {
  const client = newClient();
  const html = renderToString(h(PubkeeperProvider, { client }, h(Everything)));
  expect(html.replaceAll('&quot;', '"')).toBe('<p>["disconnected",null,[],false,null,false]</p>');
  expect(client.state).toBe('disconnected');
});

it.each([
  ['usePubkeeper', () => usePubkeeper()],
  ['usePatron', () => usePatron('a')],
  ['useLatest', () => useLatest('a')],
  ['useBrewer', () => useBrewer('a')],
])('%s reports that a provider is missing', (_, hook) => {
  const Lonely = (): null => (hook(), null);
  expect(() => renderToString(h(Lonely))).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('PubkeeperProvider') as string }) as PubkeeperError);
});

it.each([
  ['a pattern', 'PATTERN_INVALID', () => usePatron('a..b')],
  ['a topic', 'TOPIC_INVALID', () => useBrewer('a.*')],
  ['a number of messages to keep', 'OPTION_INVALID', () => usePatron('a', { keep: -5 })],
  ['no number of messages to keep', 'OPTION_INVALID', () => usePatron('a', { keep: NaN })],
])('hooks throw for %s that is malformed while rendering, for the error boundary above', (_, code, hook) => {
  const Wrong = (): null => (hook(), null);
  expect(() => renderToString(h(PubkeeperProvider, { client: newClient() }, h(Wrong)))).toThrow(expect.objectContaining({ code }) as PubkeeperError);
});

it('a provider without a client is refused', () => {
  const props = { server: 'ws://nowhere/ws', token: 'secret' } as unknown as { client: PubkeeperClient };
  expect(() => renderToString(h(PubkeeperProvider, props))).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as PubkeeperError);
});
