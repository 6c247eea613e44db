import { type Line, type LineOwner, needsWebSocket, PageSockets, type Target } from '../brews/internal/broker-line.js';
import { loadMqtt, type MqttWays } from '../brews/internal/mqtt-library.js';
import { openMqtt } from '../brews/internal/mqtt-line.js';

// MQTT in a browser; `node-mqtt.ts` beside this file has the same names. package.json chooses by export condition.

/** Of a broker's addresses, those to use here: pages have no TCP. */
export const reachable = (_tcp: readonly string[], ws: readonly string[]): readonly string[] => ws;

/** Rejects with `BREW_DEPENDENCY` when the package is missing. */
export const load = async (): Promise<void> => void (await loadMqtt());

export async function dial(target: Target, owner: LineOwner, _host: unknown, ways: MqttWays): Promise<Line> {
  needsWebSocket('MqttBrew', target.urls);
  return openMqtt(target, owner, ways, () => undefined, new PageSockets(owner));
}
