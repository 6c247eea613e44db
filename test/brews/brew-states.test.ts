import { expect, it } from 'vitest';
import { BrewStates } from '../../src/brews/internal/brew-states.js';
import type { Packet } from '../../src/core/packet.js';
import { id } from '../helpers.js';

// What a client with several brews tells its server about their states.

function made() {
  const sent: Packet['payload'][] = [];
  const states = new BrewStates('x', ({ payload }) => sent.push(payload));
  return { states, take: () => sent.splice(0) };
}
const [one, other] = [{ brewerId: id(1), patronId: id(3) }, { brewerId: id(2), patronId: id(3) }];

it('forget() reports brews as up again for the scope that has ended, and for no other', () => {
  const { states, take } = made();
  for (const scope of [{}, { brewerId: id(1) }, one, { ...one, patronId: id(4) }, other]) states.set('x', false, scope);
  states.set('y', false, one);
  expect(take()).toHaveLength(6);
  states.forget(one);
  const scope = { brewer_id: id(1), patron_id: id(3) };
  expect(take()).toEqual([{ brew: 'x', state: 'up', ...scope }, { brew: 'y', state: 'up', ...scope }]);
  states.forget({ brewerId: id(1) });
  expect(take()).toEqual([{ brew: 'x', state: 'up', brewer_id: id(1) }]);
  states.repeat();
  expect(take()).toEqual([
    { brew: 'x', state: 'up', moves: true },
    { brew: 'x', state: 'down' },
    { brew: 'x', state: 'down', brewer_id: id(1), patron_id: id(4) },
    { brew: 'x', state: 'down', brewer_id: id(2), patron_id: id(3) },
  ]);
});

it('repeat() reports nothing of a brew that was cleared, and the states of the others again', () => {
  const { states, take } = made();
  for (const brew of ['x', 'y']) states.set(brew, false, one);
  states.set('x', false, one);
  expect(take()).toHaveLength(2);
  states.clear('x');
  states.repeat();
  states.repeat();
  expect(take()).toEqual([{ brew: 'x', state: 'up', moves: true }, expect.objectContaining({ brew: 'y', state: 'down' })]);
});
