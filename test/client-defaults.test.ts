import { expect, it, vi } from 'vitest';
import type { CryptoEngine } from '../src/core/index.js';
import { PubkeeperClient } from '../src/index.js';
import { rejected } from './helpers.js';

const platform = vi.hoisted(() => ({ lifecycle: vi.fn(() => () => undefined), sealed: vi.fn() }));
vi.mock('#platform', async (original) => {
  const made = await original<{ engine: CryptoEngine }>();
  return { ...made, lifecycle: platform.lifecycle, engine: { ...made.engine, gcm: (key: Uint8Array) => (platform.sealed(), made.engine.gcm(key)) } };
});

it('an option that is undefined counts as not given, also if the platform has a default for it', async () => {
  const server = 'ws://127.0.0.1:1/ws';
  const client = new PubkeeperClient({ server, token: 'secret', lifecycle: undefined, engine: undefined });
  client.addBrewer('a');
  await rejected(client.connect(), 'CONNECT_FAILED');
  expect(platform.lifecycle).toHaveBeenCalledTimes(1);
  expect(platform.sealed).toHaveBeenCalledTimes(1);
  const lifecycle = vi.fn(() => () => undefined);
  await rejected(new PubkeeperClient({ server, token: 'secret', lifecycle }).connect(), 'CONNECT_FAILED');
  expect(lifecycle).toHaveBeenCalledTimes(1);
  expect(platform.lifecycle).toHaveBeenCalledTimes(1);
});
