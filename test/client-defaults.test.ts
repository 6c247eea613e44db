import { expect, it, vi } from 'vitest';
import { PubkeeperClient } from '../src/index.js';
import { rejected } from './helpers.js';

const platform = vi.hoisted(() => ({ lifecycle: vi.fn(() => () => undefined) }));
vi.mock('#platform', async (original) => ({ ...(await original<object>()), ...platform }));

it('an option that is given as undefined is one that is not given, also where the platform has it', async () => {
  const server = 'ws://127.0.0.1:1/ws';
  await rejected(new PubkeeperClient({ server, token: 'secret', lifecycle: undefined, engine: undefined }).connect(), 'CONNECT_FAILED');
  expect(platform.lifecycle).toHaveBeenCalledTimes(1);
  const lifecycle = vi.fn(() => () => undefined);
  await rejected(new PubkeeperClient({ server, token: 'secret', lifecycle }).connect(), 'CONNECT_FAILED');
  expect(lifecycle).toHaveBeenCalledTimes(1);
  expect(platform.lifecycle).toHaveBeenCalledTimes(1);
});
