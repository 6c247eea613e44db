import { setTimeout as later } from 'node:timers'; // not one of those that are counted
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import fc from '../fast-check.js';
import { World } from './lives-world.js';

// A search, and not a test that has to pass: `npx vitest run --project lives`. Clients whose applications do this and that in random
// order, while their links are cut or held up, their pages put away and the server started anew. Whatever happens: states follow each
// other as they may, each match is told once, as is its end; every promise settles; what is brewed while matched comes once and in
// order, or somebody is told; and after `disconnect()` nothing is left.
//
// PUBKEEPER_SEED and PUBKEEPER_PATH, which a failure tells, begin with that life; PUBKEEPER_RUNS is how many there are.
//
// What nobody promises is in lives-cast.ts and lives-world.ts, each with its reason. Of brewers that number nothing a last value may come
// again when a match begins anew (`isAgain`), and what was brewed under a former AES-CBC key may be opened to nonsense (`guessable`). Peers
// stay that went while a client took back what it had just removed (`ghosts`). What a brewer had sent may come behind what it brews in
// another client (`moved`), and over another connection (`overtaken`). Two clients that move ids to and fro at once may be refused them (`#retry`).

const { PUBKEEPER_RUNS: RUNS = 300, PUBKEEPER_SEED: SEED, PUBKEEPER_PATH: PATH } = process.env;

const TOPICS = ['a.b', 'a.c', 'x.y.z'] as const;
const PATTERNS = ['a.*', '**', 'a.b', 'x.**'] as const;
const CIPHERS = ['aes-gcm', 'aes-gcm', 'aes-cbc', 'none'] as const;

/** Timers that are running, whoever has set them. Vitest keeps the true functions for itself. */
const timers = new Set<unknown>();
beforeAll(() => {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  vi.stubGlobal('setTimeout', (run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
    const timer = set(() => {
      timers.delete(timer);
      run(...args);
    }, ms);
    timers.add(timer);
    return timer;
  });
  vi.stubGlobal('clearTimeout', (timer: Parameters<typeof clear>[0]) => {
    timers.delete(timer);
    clear(timer);
  });
});
afterAll(() => vi.unstubAllGlobals());

/** What happens: plain data, so that a failure shows it. The first number is the member that does it. */
const at = fc.nat(1);
const steps = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('read' as const), at, fc.constantFrom(...PATTERNS)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('leave' as const), at, fc.nat(3), fc.boolean()) },
  { weight: 6, arbitrary: fc.tuple(fc.constant('write' as const), at, fc.constantFrom(...TOPICS), fc.constantFrom(...CIPHERS)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('stop' as const), at, fc.nat(3)) },
  { weight: 12, arbitrary: fc.tuple(fc.constant('brew' as const), at, fc.nat(3), fc.integer({ min: 1, max: 30 }), fc.constantFrom(10, 10, 10, 3000, 70_000)) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('cut control', 'cut relay', 'cut all', 'refuse', 'rest', 'wake', 'disconnect', 'connect', 'abort'), at) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('restart' as const), at) },
  // For less than what is waited for on such a network: a JOIN (`holdMs`), and what is on its way when a brewer leaves.
  { weight: 5, arbitrary: fc.tuple(fc.constant('hold' as const), at, fc.constantFrom('control', 'relay'), fc.constantFrom('up', 'down'), fc.integer({ min: 1, max: 120 })) },
  { weight: 10, arbitrary: fc.tuple(fc.constant('turns' as const), at, fc.integer({ min: 1, max: 200 })) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('calm' as const), at) },
);
type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never;

/** One half of the connections to the relay, or the other. */
function relayOf({ members }: World, half: number): (path: string) => boolean {
  let index = 0;
  return (path) => !members.some((one) => one.path === path) && index++ % 2 === half;
}

async function take(world: World, step: Step): Promise<void> {
  const member = world.members[step[1]]!;
  switch (step[0]) {
    case 'read': return world.read(member, step[2]);
    case 'leave': return world.leave(member, step[2], step[3]);
    case 'write': return world.write(member, step[2], step[3]);
    case 'stop': return world.stop(member, step[2]);
    case 'brew': {
      const writer = member.writers[step[2] % (member.writers.length || 1)];
      for (let count = step[3]; writer && count > 0; count--) world.brew(writer, step[4]);
      return;
    }
    case 'cut control': return world.proxy.reset((path) => path === member.path);
    case 'cut relay': return world.proxy.reset(relayOf(world, step[1]));
    case 'hold': {
      const isMeant = step[2] === 'control' ? (path: string) => path === member.path : relayOf(world, step[1]);
      return void later(world.proxy.hold(isMeant, step[3]), step[4]);
    }
    case 'cut all': return world.proxy.reset();
    case 'refuse': {
      world.proxy.refuses = (path) => path === member.path;
      return world.proxy.reset(world.proxy.refuses);
    }
    case 'rest': return world.rest(member);
    case 'wake': return member.life?.wake();
    case 'disconnect': return world.disconnect(member);
    case 'connect': return world.connect(member);
    case 'abort': return world.abort(member);
    case 'restart': return world.restart();
    case 'turns': {
      for (let turns = step[2]; turns > 0; turns--) await turn();
      return;
    }
    case 'calm': return world.calm();
  }
}

it.each(['open', 'secured'] as const)('lives of random steps, profile %s', async (profile) => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 20, maxLength: 60 }), async (list) => {
      const world = new World(profile);
      try {
        await world.start(2);
        for (const step of list) await take(world, step);
        await world.calm();
        await world.finish();
        // A brewer that was removed is looked after by its patrons twice more.
        await vi.waitFor(() => expect(timers.size).toBe(0), { timeout: 5000 });
        expect(world.problems).toEqual([]);
      } finally {
        await world.end();
      }
    }),
    // With real sockets a failure is not the same each time: what is shorter proves nothing.
    { numRuns: Number(RUNS), endOnFailure: true, ...(SEED && { seed: Number(SEED) }), ...(PATH && { path: PATH }) },
  );
});
