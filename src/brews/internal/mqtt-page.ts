import type { IClientOptions } from 'mqtt';

/** Seconds of silence after which the broker gives a page up, once and a half: hidden pages run timers once a minute. */
const KEEPALIVE = 60;
/** How often silence is checked, in ms. After two checks the broker is asked for a sign of life; one more without an answer, and it is given up. */
const TICK = 5000;

/**
 * Measures silence for MQTT.js, which counts calls of `run`: at the second it asks, at the third it gives up. By itself it takes timers of
 * a worker, which a strict content security policy forbids. The timers of a page may be late: then the question is asked at once, but a
 * broker is given up only at a later tick, when its answer has had time to come.
 */
export const pageTimer = {
  set: (run: () => void): number => {
    const begun = Date.now();
    let runs = 0;
    // In a page it is a number; in Node, where tests run this, it can be made one.
    return Number(setInterval(() => {
      const due = runs < 2 ? Math.min(2, Math.floor(Math.abs(Date.now() - begun) / TICK)) : runs + 1;
      for (; runs < due; runs++) run();
    }, TICK));
  },
  clear: (timer: number): void => clearInterval(timer),
};

/** Options of MQTT.js for a page. */
export const pageOptions = (socket: WebSocket): IClientOptions => ({
  createWebsocket: () => socket,
  // Leave it to the socket to keep what it cannot send yet: MQTT.js would look again only once a second.
  browserBufferSize: Infinity,
  keepalive: KEEPALIVE,
  timerVariant: pageTimer,
});
