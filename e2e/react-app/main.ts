import { createElement } from 'react';
import { createRoot, hydrateRoot } from 'react-dom/client';
import { PubkeeperClient } from 'pubkeeper';
import { PubkeeperProvider } from 'pubkeeper/react';
import { App } from './app.js';

// Hydrates what the server has rendered, with the options in the page's URL.
const query = new URLSearchParams(location.search);
const client = new PubkeeperClient({ server: query.get('server') ?? '', token: query.get('token') ?? '' });
const heard: string[] = [];
const errors: string[] = [];
client.on('error', ({ code }) => errors.push(code));
const hear = async (text: string): Promise<void> => {
  heard.push(text);
  if (text === 'of no use') throw new Error('of the application');
};
let renders = 0;
let frames = 0;
const count = (): void => {
  frames++;
  requestAnimationFrame(count);
};
requestAnimationFrame(count);

const root = hydrateRoot(
  document.getElementById('root')!,
  createElement(App, { client, heard: hear, rendered: () => renders++ }),
);

export const app = {
  heard: (): number => heard.length,
  errors: (): readonly string[] => errors,
  counts: () => ({ renders, frames }),
  unmount: (): void => root.unmount(),
  client,
  /** Renders another provider of the same client in a separate root; returns a function that unmounts it. */
  island: (): (() => void) => {
    const other = createRoot(document.createElement('div'));
    other.render(createElement(PubkeeperProvider, { client }));
    return () => other.unmount();
  },
};
Object.assign(globalThis, { app });
