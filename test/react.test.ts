import { createElement as h, type ReactElement } from 'react';
import { renderToString } from 'react-dom/server';
import { expect, it } from 'vitest';
import { PubkeeperClient, type PubkeeperError } from '../src/index.js';
import { cancelFrame, nextFrame } from '../src/react/frame.js';
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

const nonsense = (value: unknown) => value as never;

it.each([
  ['of usePatron: keep', () => usePatron('a', nonsense({ keep: null })), 'keep'],
  ['of usePatron: keep as text', () => usePatron('a', nonsense({ keep: '5' })), 'keep'],
  ['of usePatron: minCipher', () => usePatron('a', nonsense({ minCipher: '' })), 'minCipher'],
  ['of usePatron: onMessage', () => usePatron('a', nonsense({ onMessage: 'log' })), 'onMessage'],
  ['of useLatest: minCipher', () => useLatest('a', nonsense({ minCipher: 'rot13' })), 'minCipher'],
  ['of useBrewer: cipher', () => useBrewer('a', nonsense({ cipher: null })), 'cipher'],
  ['of usePatron: a callback in their place', () => usePatron('a', nonsense(() => undefined)), 'options'],
  ['of useLatest: text in their place', () => useLatest('a', nonsense('aes-gcm')), 'options'],
  ['of useBrewer: text in their place', () => useBrewer('a', nonsense('aes-gcm')), 'options'],
])('wrong options are refused while rendering, %s', (_, hook, name) => {
  const Wrong = (): null => (hook(), null);
  const refused = expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(name) as string }) as PubkeeperError;
  expect(() => renderToString(h(PubkeeperProvider, { client: newClient() }, h(Wrong)))).toThrow(refused);
});

it('options that are null are none, and so is an onError that is null', () => {
  const Fine = (): string => `${usePatron('a', null).messages.length} ${String(useLatest('a', null))} ${useBrewer('a', null).brewer.topic}`;
  expect(renderToString(h(PubkeeperProvider, { client: newClient(), onError: nonsense(null) }, h(Fine)))).toBe('0 undefined a');
});

it('a provider refuses an onError that is no function', () => {
  const refused = expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('onError') as string }) as PubkeeperError;
  expect(() => renderToString(h(PubkeeperProvider, { client: newClient(), onError: nonsense('alert') }))).toThrow(refused);
});

it('without a pattern or topic hooks read and write nothing', async () => {
  let sent: Promise<unknown> | undefined;
  const Idle = (): string => {
    const { brewer, isMatched, brew, brewText, brewJSON } = useBrewer(null);
    sent = Promise.all([brew(Uint8Array.of(1)), brewText('a'), brewJSON(1)]);
    return JSON.stringify([usePatron(null), useLatest(null) ?? null, brewer ?? null, isMatched]);
  };
  const html = renderToString(h(PubkeeperProvider, { client: newClient() }, h(Idle)));
  expect(html.replaceAll('&quot;', '"')).toBe('[{"messages":[],"isMatched":false},null,null,false]');
  expect(await sent).toEqual([undefined, undefined, undefined]);
});

it('a pattern or topic that is undefined is a mistake', () => {
  for (const hook of [() => usePatron(nonsense(undefined)), () => useLatest(nonsense(undefined)), () => useBrewer(nonsense(undefined))]) {
    const Wrong = (): null => (hook(), null);
    expect(() => renderToString(h(PubkeeperProvider, { client: newClient() }, h(Wrong)))).toThrow(expect.objectContaining({ code: expect.stringMatching(/^(PATTERN|TOPIC)_INVALID$/) as string }) as PubkeeperError);
  }
});

it('a provider without a client is refused', () => {
  const props = { server: 'ws://nowhere/ws', token: 'secret' } as unknown as { client: PubkeeperClient };
  expect(() => renderToString(h(PubkeeperProvider, props))).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as PubkeeperError);
});

it('what no longer waits for a frame leaves no timer, and what waits for the next one is called', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const gone = (): void => expect.fail('It was cancelled.');
  nextFrame(gone);
  expect(timers()).toBe(before + 1);
  cancelFrame(gone);
  expect(timers()).toBe(before);
  await new Promise<void>((resolve) => {
    nextFrame(gone);
    nextFrame(resolve);
    cancelFrame(gone);
  });
});
