import { createElement, StrictMode } from 'react';
import { flushSync } from 'react-dom';
import { createRoot, hydrateRoot } from 'react-dom/client';
import { PubkeeperClient } from 'pubkeeper';
import { PubkeeperProvider } from 'pubkeeper/react';
import { App, type AppProps, type Gate } from './app.js';

// Hydrates what the server has rendered, or renders in its place, with the options in the page's URL.
const query = new URLSearchParams(location.search);
const client = new PubkeeperClient({ server: query.get('server') ?? '', token: query.get('token') ?? '' });
const heard: string[] = [];
const errors: string[] = [];
client.on('error', ({ code }) => errors.push(code));
const states: string[] = [];
client.on('state', (state) => states.push(state));
let hideAt: string | undefined;
const hear = async (text: string): Promise<void> => {
  heard.push(text);
  // Before the next frame.
  if (text === hideAt) document.getElementById('hide')!.click();
  if (text === 'of no use') throw new Error('of the application');
};
let open!: () => void;
const gate: Gate = { isOpen: false, opened: new Promise((resolve) => (open = resolve)) };
// Before the provider knows why.
client.on('state', (state) => {
  gate.isOpen = state !== 'connecting';
  if (gate.isOpen) open();
});

let renders = 0;
let arrays = 0;
let commits = 0;
let mostCommits = 0;
let frames = 0;
const count = (): void => {
  frames++;
  // First in its frame, and after it.
  commits = 0;
  setTimeout(() => (commits = 0));
  requestAnimationFrame(count);
};
requestAnimationFrame(count);

const props = { client, heard: hear, rendered: () => renders++, got: () => arrays++, committed: () => (mostCommits = Math.max(mostCommits, ++commits)) };
/** StrictMode must be outermost: React mounts twice only what it is all around. And it does not when it hydrates. */
const strict = (more: Partial<AppProps> & { readonly key?: string }) => createElement(StrictMode, null, createElement(App, { ...props, ...more }));
const place = document.getElementById('root')!;
const root = query.has('mount') ? createRoot(place) : hydrateRoot(place, strict({ gate }));
if (query.has('mount')) root.render(strict({}));

export const app = {
  heard: (): number => heard.length,
  errors: (): readonly string[] => errors,
  states: (): readonly string[] => states,
  counts: () => ({ renders, frames, arrays }),
  /** How often React has rendered in one frame, at most. */
  mostCommits: () => mostCommits,
  hideAt: (text: string) => void (hideAt = text),
  unmount: (): void => root.unmount(),
  client,
  /** Renders all anew in the place of what is there, as a router does. */
  replace: (): void => flushSync(() => root.render(strict({ key: 'new' }))),
  /** Renders another provider of the same client in a separate root; returns a function that unmounts it. */
  island: (): (() => void) => {
    const other = createRoot(document.createElement('div'));
    other.render(createElement(PubkeeperProvider, { client }));
    return () => other.unmount();
  },
};
Object.assign(globalThis, { app });
