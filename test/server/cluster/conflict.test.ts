import { afterAll, beforeAll, afterEach, describe, expect, it } from 'vitest';
import type { PubkeeperError } from '../../../src/index.js';
import type { PubkeeperServer } from '../../../src/server/index.js';
import { TOKEN, scene, until } from './kit.js';
import { NATS, type Nats, startNats } from './nats.js';

// Two registrations of one id at different servers: the later one counts.

const stage = scene();
afterEach(() => stage.end(), 60_000);

describe.skipIf(!NATS)('an id that is registered at two servers of a cluster', { timeout: 60_000 }, () => {
  let nats: Nats;
  beforeAll(async () => void (nats = await startNats()), 60_000);
  afterAll(() => nats.kill());

  /** A server on a machine whose clock is wrong by `ms`. */
  async function late(ms: number): Promise<PubkeeperServer> {
    const { now } = Date;
    Date.now = () => now() + ms;
    try {
      return await stage.server(nats.url);
    } finally {
      Date.now = now;
    }
  }

  const YEAR = 365 * 24 * 3600 * 1000;
  it.each([['five seconds', 5000], ['three years', 3 * YEAR], ['half a century, the other way,', -50 * YEAR]])(
    'belongs to the later registration, when the clock of one server is %s ahead',
    async (_name, ms) => {
      const [off, right] = [await late(ms), await stage.server(nats.url)];
      for (const [first, second] of [[off, right], [right, off]] as const) {
        const [before, after, reader] = [stage.client(first), stage.client(second), stage.client(second)];
        const errors: [string, PubkeeperError][] = [];
        before.on('error', (error) => errors.push(['before', error]));
        after.on('error', (error) => errors.push(['after', error]));
        const patron = reader.addPatron('moves.*');
        const brewer = before.addBrewer('moves.x');
        await Promise.all([before.connect(), reader.connect(), after.connect()]);
        await until(() => patron.isMatched, 'the match');
        after.addBrewer('moves.x', { brewerId: brewer.brewerId });
        await until(() => errors.length > 0, 'the word to one of them');
        expect(errors.map(([who, { code }]) => [who, code])).toEqual([['before', 'REGISTERED_TWICE']]);
        await until(() => patron.isMatched && second.stats().brewers === 1 && first.stats().brewers === 0, 'the match with the later one');
        await Promise.all([before.disconnect(), after.disconnect(), reader.disconnect()]);
        await until(() => second.stats().brewers === 0 && first.stats().cluster!.registrations === 0, 'the end of both');
        // By now no other error has come.
        expect(errors).toHaveLength(1);
      }
    },
  );

  it('is removed at the server of the earlier registration, where its pairs end', async () => {
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const [former, later, other] = [stage.client(a), stage.client(b), stage.client(b)];
    const brewer = former.addBrewer('left.one');
    const patron = former.addPatron('left.two');
    other.addPatron('left.one');
    other.addBrewer('left.two');
    await Promise.all([former.connect(), later.connect(), other.connect()]);
    await until(() => brewer.isMatched && patron.isMatched, 'the matches');
    const codes: string[] = [];
    former.on('error', ({ code }) => codes.push(code));
    const [brewerThere, patronThere] = [later.addBrewer('left.one', { brewerId: brewer.brewerId }), later.addPatron('left.two', undefined, { patronId: patron.patronId })];
    await until(() => brewerThere.isMatched && patronThere.isMatched, 'the matches of the later ones');
    await until(() => !brewer.isMatched && !patron.isMatched, 'the end of the former ones');
    expect(codes).toEqual(['REGISTERED_TWICE', 'REGISTERED_TWICE']);
  });

  it('keeps its pairs when the later registration is refused', async () => {
    const tokens = { [TOKEN]: [{ topic: '**', read: true, write: true }], weak: [{ topic: '**', read: true }] };
    const [a, b] = [await stage.server(nats.url, { tokens }), await stage.server(nats.url, { tokens })];
    const [writer, reader, weak] = [stage.client(a), stage.client(b), stage.client(b, { token: 'weak' })];
    const patron = reader.addPatron('mine.*');
    const brewer = writer.addBrewer('mine.x');
    await Promise.all([writer.connect(), reader.connect(), weak.connect()]);
    await until(() => patron.isMatched && brewer.isMatched, 'the match');
    const told: string[] = [];
    patron.on('removed', () => told.push('removed'));
    const refused = new Promise<PubkeeperError>((resolve) => weak.on('error', resolve));
    weak.addBrewer('mine.x', { brewerId: brewer.brewerId });
    expect((await refused).code).toBe('FORBIDDEN');
    // Consequences of the refusal would come before this match.
    const next = writer.addBrewer('mine.y');
    await until(() => next.isMatched, 'the next match');
    expect([told, patron.isMatched]).toEqual([[], true]);
  });
});
