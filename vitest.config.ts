import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const fromRoot = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // Tests run from the source; package.json sends these to dist.
  resolve: {
    alias: {
      // As in a page: in Node it would be loaded later.
      '#noble': fromRoot('src/core/ciphers/noble.ts'),
      '#platform': fromRoot('src/platform/node.ts'),
      '#mqtt': fromRoot('src/platform/node-mqtt.ts'),
      '#scope': fromRoot('src/platform/node-scope.ts'),
      '#nats': fromRoot('src/platform/node-nats.ts'),
    },
  },
  test: {
    pool: 'forks',
    // A test that passes only the second time has found something.
    retry: 0,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          // Most of them wait for sockets and processes: with one worker, which is what Vitest takes on two cores, those are half idle. Each may start
          // brokers and servers of its own, so that there is an end to it.
          maxWorkers: Math.min(availableParallelism() + 1, 8),
          sequence: { groupOrder: 0 },
          // A bound for what hangs, not a measure of speed: machines differ, and are busy.
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          // The long form of what `unit` runs shortly: `npm run test:faults`. They measure, so one at a time.
          name: 'faults',
          include: ['test/faults/*.test.ts'],
          env: { PUBKEEPER_FAULTS: 'long' },
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          testTimeout: 1_800_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          // Looks for what nobody has thought of; `npm test` does not run it.
          name: 'lives',
          include: ['test/faults/lives.search.ts'],
          sequence: { groupOrder: 3 },
          testTimeout: 1_800_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          // Browsers measure and render: one at a time, and never beside the unit tests.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
