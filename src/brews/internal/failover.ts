import type { BrewHost, Failover } from '../../core/brew.js';
import { BrewStates } from './brew-states.js';
import { MovingBrew } from './moving-brew.js';
import { Parting } from './parting.js';
import { Relays } from './relays.js';

/**
 * Failover between the brews of a client. Brews that are used beside others bring this code along, so that a page whose only
 * brew is a relay does not load it.
 */
export const failover: Failover = (host, brews, send) => {
  const [first, second] = brews;
  if (!first || !second) return brews;
  const states = new BrewStates(first.name, send);
  const relays = new Relays(host.WebSocket, (up, scope) => states.set('websocket', up, scope));
  const parting = new Parting((pair) => {
    states.forget(pair);
    relays.forget(pair);
    for (const brew of brews) brew.forget?.(pair);
  });
  const own: Partial<BrewHost> = { WebSocket: relays.WebSocket, state: (brew, up, scope) => states.set(brew, up, scope) };
  Object.assign(host, own);
  return brews.map((brew) => new MovingBrew({ brew, states, parting, relays: brew.name === 'websocket' ? relays : undefined }));
};
