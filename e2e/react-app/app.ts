import { Activity, createElement as h, Profiler, type ReactElement, Suspense, useEffect, useState } from 'react';
import type { PubkeeperClient } from 'pubkeeper';
import { PubkeeperProvider, useBrewer, useLatest, usePatron, usePubkeeper } from 'pubkeeper/react';

// A small application as users write it, with `createElement` instead of JSX, which would need setting up.

export interface AppProps {
  readonly client: PubkeeperClient;
  /** Called with each message that `usePatron` passes to `onMessage`. */
  readonly heard?: (text: string) => Promise<void>;
  readonly rendered?: () => void;
  /** Called with each array of messages that `usePatron` returns. */
  readonly got?: () => void;
  /** Called when React has rendered any of the components that read. */
  readonly committed?: () => void;
  /** Until it is open, a part of the page is not hydrated. */
  readonly gate?: Gate;
}

export interface Gate {
  isOpen: boolean;
  readonly opened: Promise<void>;
}

function Status(): ReactElement {
  const { state, error } = usePubkeeper();
  return h('p', { id: 'status' }, error ? `${state}: ${error.code}` : state);
}

function Late({ gate }: Pick<AppProps, 'gate'>): ReactElement {
  const { state, error } = usePubkeeper();
  if (gate && !gate.isOpen) throw gate.opened;
  return h('p', { id: 'late' }, error ? `${state}: ${error.code}` : state);
}

interface ReaderProps extends Pick<AppProps, 'heard' | 'rendered' | 'got'> {
  readonly pattern: string | null;
  readonly keep: number;
}

function Reader({ pattern, keep, heard, rendered, got }: ReaderProps): ReactElement {
  const { messages, isMatched } = usePatron(pattern, { keep, onMessage: (message) => heard?.(message.text()) });
  rendered?.();
  useEffect(() => void got?.(), [messages]);
  return h('ul', { id: 'messages', 'data-matched': isMatched }, messages.map((message, index) => h('li', { key: index }, message.text())));
}

function Latest({ topic }: { readonly topic: string }): ReactElement {
  return h('output', { id: 'latest' }, useLatest(topic)?.text() ?? 'nothing yet');
}

function Writer({ topic }: { readonly topic: string | null }): ReactElement {
  const { isMatched, brewText, brewer } = useBrewer(topic);
  return h('button', { id: 'brew', disabled: !isMatched, title: brewer?.topic ?? 'no topic', onClick: () => void brewText('clicked') }, 'Brew');
}

/** Its cipher is a new function at each render. */
function OwnCipher({ topic }: { readonly topic: string }): ReactElement {
  const { isMatched } = useBrewer(topic, { cipher: () => ({ cipher: 'custom', config: { mode: 'own', key: '' }, seal: (message) => Uint8Array.from(message), sealBundle: undefined }) });
  return h('output', { id: 'own' }, isMatched ? 'matched' : 'alone');
}

export function App({ client, heard, rendered, got, committed, gate }: AppProps): ReactElement {
  const [pattern, setPattern] = useState<string | null>('react.a.*');
  const [topic, setTopic] = useState<string | null>('react.from.page');
  const [keep, setKeep] = useState(3);
  const [isHidden, setHidden] = useState(false);
  const [isWriting, setWriting] = useState(true);
  const [isOwn, setOwn] = useState(false);
  return h(
    PubkeeperProvider,
    { client },
    h(Status),
    h(
      Profiler,
      { id: 'readers', onRender: () => committed?.() },
      h(Activity, {
        mode: isHidden ? 'hidden' : 'visible',
        children: h(Reader, { pattern, keep, ...(heard && { heard }), ...(rendered && { rendered }), ...(got && { got }) }),
      }),
      h(Latest, { topic: 'react.**' }),
    ),
    h(Suspense, { fallback: null }, h(Late, { ...(gate && { gate }) })),
    h('button', { id: 'other', onClick: () => (setPattern('react.b.*'), setTopic('react.from.page')) }, 'Read another'),
    h('button', { id: 'nothing', onClick: () => (setPattern(null), setTopic(null)) }, 'Read and write nothing for now'),
    h('button', { id: 'one', onClick: () => setKeep(1) }, 'Keep one'),
    h('button', { id: 'fewer', onClick: () => setKeep(2) }, 'Keep fewer'),
    h('button', { id: 'part', onClick: () => setKeep(0.5) }, 'Keep a part of one'),
    h('button', { id: 'more', onClick: () => setKeep(4) }, 'Keep more'),
    h('button', { id: 'hide', onClick: () => setHidden(!isHidden) }, 'Hide or show'),
    h('button', { id: 'encrypt', onClick: () => setOwn(true) }, 'Encrypt by a cipher of its own'),
    isOwn && h(OwnCipher, { topic: 'react.own' }),
    h('button', { id: 'stop', onClick: () => setWriting(false) }, 'Stop writing'),
    isWriting && h(Writer, { topic }),
  );
}
