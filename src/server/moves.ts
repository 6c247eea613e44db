import { readBrewState, type BrewState, type BrewStatePayload, type DownBrews } from './down-brews.js';
import { brewerNotify, brewerRemoved, patronNotify, patronRemoved } from './match.js';
import type { Match, Outgoing, RegisteredBrewer, RegisteredPatron } from './match.js';

// What a BREW_STATE causes: pairs move to another brew. A client may have millions of pairs, so this goes in steps.

/** How much one step does, which takes some 10 ms: so many pairs move, or `LOOKS` times as many are looked at in vain. */
const PAIRS_A_STEP = 2000;
const LOOKS = 20;

/** What the steps need of the matchmaker. */
interface Movers<C> extends Everybody<C> {
  client(client: C): { readonly moves: boolean } | undefined;
}

/** The client that has sent the BREW_STATE. */
interface Sender<C> extends Ends<C> {
  readonly down: DownBrews;
  moves: boolean;
}

/**
 * Records a BREW_STATE in the first step, and moves the pairs that it is about to the best common brew that is up. Each step yields, and the last one
 * returns, what is to be sent of the pairs that it has moved. Between two steps anything may happen: each step finds each pair as it is then.
 * @param move moves a match; returns whether it has moved
 */
export function* moveAll<C>(
  sender: Sender<C> | undefined,
  payload: BrewStatePayload,
  movers: Movers<C>,
  move: (match: Match<C>) => boolean,
): Generator<Outgoing<C>[], Outgoing<C>[]> {
  if (!sender) return [];
  sender.moves ||= payload.moves === true;
  const state = readBrewState(payload);
  if (!state || !sender.down.set(state)) return [];
  let moved: Match<C>[] = [];
  let left = PAIRS_A_STEP * LOOKS;
  const notices = (): Outgoing<C>[] => moveNotices(moved, (client) => !!movers.client(client)?.moves);
  for (const match of affected(sender, state, movers)) {
    const isThere = match.brewer.matches.get(match.patron) === match;
    const mayMove = isThere && canMove(match, state);
    if (mayMove && move(match)) moved.push(match);
    left -= mayMove ? LOOKS : 1;
    if (left > 0) continue;
    yield notices();
    moved = [];
    left = PAIRS_A_STEP * LOOKS;
  }
  return notices();
}

/** What a client has registered. */
interface Ends<C> {
  readonly brewers: ReadonlySet<RegisteredBrewer<C>>;
  readonly patrons: ReadonlySet<RegisteredPatron<C>>;
}

/** All that is registered, by id. */
interface Everybody<C> {
  readonly allBrewers: ReadonlyMap<string, RegisteredBrewer<C>>;
  readonly allPatrons: ReadonlyMap<string, RegisteredPatron<C>>;
}

/** Whether these two have this brew in common. */
const share = <C>({ brewer, patron }: Match<C>, brew: string): boolean => patron.brews.has(brew) && brewer.brews.some(({ name }) => name === brew);

/** Whether a state can move a match at all: most matches have no other common brew, or do not have this one. */
const canMove = <C>(match: Match<C>, { brew, isUp }: BrewState): boolean =>
  isUp ? match.brew.name !== brew && share(match, brew) : match.brew.name === brew && match.brewer.brews.some(({ name }) => name !== brew && share(match, name));

/**
 * The matches of a client that a state is about; those between two registrations of the client come twice. A client may have millions: each is
 * looked up when it is asked for, and may have ended when the next one is. If a registration is named, only its matches are looked at.
 */
function* affected<C>({ brewers, patrons }: Ends<C>, { brewerId, patronId }: BrewState, { allBrewers, allPatrons }: Everybody<C>): Generator<Match<C>> {
  if (brewerId === undefined && patronId === undefined) {
    for (const end of [...brewers, ...patrons]) yield* [...end.matches.values()];
    return;
  }
  const named = brewerId === undefined ? allPatrons.get(patronId!) : allBrewers.get(brewerId);
  const isAbout = ({ brewer, patron }: Match<C>): boolean => (patronId ?? patron.id) === patron.id && (brewers.has(brewer) || patrons.has(patron));
  yield* [...(named?.matches.values() ?? [])].filter(isAbout);
}

/**
 * The packets about matches that have moved to another brew: patrons first, with one notification for each patron and
 * brewer. Clients that know of moves get the notification alone, and replace the pair that they have, without a gap; for
 * others the pair ends and begins again.
 */
function moveNotices<C>(moved: readonly Match<C>[], knowsMoves: (client: C) => boolean): Outgoing<C>[] {
  const out: Outgoing<C>[] = [];
  for (const [patron, matches] of groupBy(moved, ({ patron }) => patron)) {
    if (!knowsMoves(patron.client)) out.push(...matches.map(brewerRemoved));
    out.push(brewerNotify(patron, matches));
  }
  for (const [brewer, matches] of groupBy(moved, ({ brewer }) => brewer)) {
    if (!knowsMoves(brewer.client)) out.push(...matches.map(patronRemoved));
    out.push(patronNotify(brewer, matches, false));
  }
  return out;
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

/** What all steps together have to send. */
export function inOneGo<T>(steps: Generator<T[], T[]>): T[] {
  const all: T[] = [];
  for (;;) {
    const { value, done } = steps.next();
    for (const item of value) all.push(item);
    if (done) return all;
  }
}
