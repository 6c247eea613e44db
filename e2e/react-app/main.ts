import { createElement } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { PubkeeperClient } from 'pubkeeper';
import { App } from './app.js';

// Takes over what the server has rendered, as the page's address says.
const query = new URLSearchParams(location.search);
const client = new PubkeeperClient({ server: query.get('server') ?? '', token: query.get('token') ?? '' });
const heard: string[] = [];
let renders = 0;
let frames = 0;
const count = (): void => {
  frames++;
  requestAnimationFrame(count);
};
requestAnimationFrame(count);

const root = hydrateRoot(
  document.getElementById('root')!,
  createElement(App, { client, heard: (text) => void heard.push(text), rendered: () => renders++ }),
);

export const app = {
  heard: (): number => heard.length,
  counts: () => ({ renders, frames }),
  unmount: (): void => root.unmount(),
};
Object.assign(globalThis, { app });
