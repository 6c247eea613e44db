import { Activity, createElement as h, type ReactElement, StrictMode, useState } from 'react';
import type { PubkeeperClient } from 'pubkeeper';
import { PubkeeperProvider, useBrewer, useLatest, usePatron, usePubkeeper } from 'pubkeeper/react';

// A small application as users write it, with `createElement` instead of JSX, which would need setting up.

export interface AppProps {
  readonly client: PubkeeperClient;
  /** Called with each message that `usePatron` passes to `onMessage`. */
  readonly heard?: (text: string) => Promise<void>;
  readonly rendered?: () => void;
}

function Status(): ReactElement {
  const { state, error } = usePubkeeper();
  return h('p', { id: 'status' }, error ? `${state}: ${error.code}` : state);
}

function Reader({ pattern, keep, heard, rendered }: { readonly pattern: string; readonly keep: number } & Pick<AppProps, 'heard' | 'rendered'>): ReactElement {
  const { messages, isMatched } = usePatron(pattern, { keep, onMessage: (message) => heard?.(message.text()) });
  rendered?.();
  return h('ul', { id: 'messages', 'data-matched': isMatched }, messages.map((message, index) => h('li', { key: index }, message.text())));
}

function Latest({ topic }: { readonly topic: string }): ReactElement {
  return h('output', { id: 'latest' }, useLatest(topic)?.text() ?? 'nothing yet');
}

function Writer({ topic }: { readonly topic: string }): ReactElement {
  const { isMatched, brewText } = useBrewer(topic);
  return h('button', { id: 'brew', disabled: !isMatched, onClick: () => void brewText('clicked') }, 'Brew');
}

/** Its cipher is a new function at each render. */
function OwnCipher({ topic }: { readonly topic: string }): ReactElement {
  const { isMatched } = useBrewer(topic, { cipher: () => ({ cipher: 'custom', config: { mode: 'own', key: '' }, seal: (message) => Uint8Array.from(message), sealBundle: undefined }) });
  return h('output', { id: 'own' }, isMatched ? 'matched' : 'alone');
}

export function App({ client, heard, rendered }: AppProps): ReactElement {
  const [pattern, setPattern] = useState('react.a.*');
  const [keep, setKeep] = useState(3);
  const [isHidden, setHidden] = useState(false);
  const [isWriting, setWriting] = useState(true);
  const [isOwn, setOwn] = useState(false);
  return h(
    StrictMode,
    null,
    h(
      PubkeeperProvider,
      { client },
      h(Status),
      h(Activity, {
        mode: isHidden ? 'hidden' : 'visible',
        children: h(Reader, { pattern, keep, ...(heard && { heard }), ...(rendered && { rendered }) }),
      }),
      h(Latest, { topic: 'react.**' }),
      h('button', { id: 'other', onClick: () => setPattern('react.b.*') }, 'Read another'),
      h('button', { id: 'fewer', onClick: () => setKeep(2) }, 'Keep fewer'),
      h('button', { id: 'part', onClick: () => setKeep(0.5) }, 'Keep a part of one'),
      h('button', { id: 'more', onClick: () => setKeep(4) }, 'Keep more'),
      h('button', { id: 'hide', onClick: () => setHidden(!isHidden) }, 'Hide or show'),
      h('button', { id: 'encrypt', onClick: () => setOwn(true) }, 'Encrypt by a cipher of its own'),
      isOwn && h(OwnCipher, { topic: 'react.own' }),
      h('button', { id: 'stop', onClick: () => setWriting(false) }, 'Stop writing'),
      isWriting && h(Writer, { topic: 'react.from.page' }),
    ),
  );
}
