import { describe, expect, it } from 'vitest';
import { barePackage } from '../bare-package.js';

// The built package, installed without its optional peer dependencies.

const bare = barePackage(['isomorphic-ws', 'ws']);

interface Told {
  readonly code: string;
  readonly message: string;
}

/** The errors of a brew whose library is missing: those reported at registration, and the one thrown by brew(). */
function run(brew: string): { registering: Told[]; brewing: Told[] } {
  const script = `
    import { PubkeeperClient } from 'pubkeeper';
    import { ${brew.split('(')[0]} } from 'pubkeeper/brews/${brew.startsWith('Mqtt') ? 'mqtt' : 'nats'}';
    const brew = new ${brew};
    const registering = [];
    const brewing = [];
    brew.attach({ report: ({ code, message }) => registering.push({ code, message }), state: () => undefined, reconnect: {} });
    brew.patronDetails({ topic: 'a', patronId: '0'.repeat(32) });
    await brew.brewerDetails({ topic: 'a', brewerId: '0'.repeat(32) });
    for (let i = 0; i < 1000 && registering.length < 2; i++) await new Promise((resolve) => setImmediate(resolve));
    brew.startBrewer({ topic: 'a', brewerId: '0'.repeat(32), patronId: '1'.repeat(32), details: { name: brew.name } });
    try { brew.brew('0'.repeat(32), new Uint8Array(88)); } catch ({ code, message }) { brewing.push({ code, message }); }
    console.log(JSON.stringify({ registering, brewing }));
    process.exit(0);`;
  return JSON.parse(bare(script)) as ReturnType<typeof run>;
}

describe('a brew whose package is not installed', () => {
  it.each([
    ["MqttBrew({ url: 'mqtt://127.0.0.1:1' })", 'MqttBrew needs the package mqtt: run npm install mqtt.'],
    [
      "NatsBrew({ url: 'nats://127.0.0.1:1' })",
      'NatsBrew needs the packages @nats-io/nats-core @nats-io/transport-node: run npm install @nats-io/nats-core @nats-io/transport-node.',
    ],
    ["NatsBrew({ url: 'ws://127.0.0.1:1' })", 'NatsBrew needs the package @nats-io/nats-core: run npm install @nats-io/nats-core.'],
  ])('%s says what to install, at registration and from brew()', (brew, message) => {
    const told = [{ code: 'BREW_DEPENDENCY', message }];
    // One error for the patron and one for the brewer.
    expect(run(brew)).toEqual({ registering: [...told, ...told], brewing: told });
  });
});
