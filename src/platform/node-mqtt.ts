import { Socket } from 'node:net';
import type { Line, LineOwner, Target } from '../brews/internal/broker-line.js';
import { loadMqtt, type MqttWays } from '../brews/internal/mqtt-library.js';
import { openMqtt } from '../brews/internal/mqtt-line.js';

// MQTT in Node; `browser-mqtt.ts` beside this file has the same names. package.json chooses by export condition.

/** Of a broker's addresses, those to use here, the best first. */
export const reachable = (tcp: readonly string[], ws: readonly string[]): readonly string[] => [...tcp, ...ws];

/** Rejects with `BREW_DEPENDENCY` when the package is missing. */
export const load = async (): Promise<void> => void (await loadMqtt());

export const dial = (target: Target, owner: LineOwner, _host: unknown, ways: MqttWays): Promise<Line> =>
  openMqtt(
    target,
    owner,
    ways,
    // MQTT.js leaves Nagle's algorithm on, which holds a message back until the one before it is acknowledged.
    ({ stream }) => {
      if (stream instanceof Socket) stream.setNoDelay(true);
    },
  );
