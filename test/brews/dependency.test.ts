import { describe, expect, it } from 'vitest';
import { barePackage } from '../bare-package.js';

// The package as it is installed, without the optional peer dependencies.

const bare = barePackage(['isomorphic-ws', 'ws']);

interface Told {
  readonly code: string;
  readonly message: string;
}

/** What a client of a server says whose only brew lacks its library: as it registers, and to whoever brews. */
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

describe('without its package', () => {
  it.each([
    ["MqttBrew({ url: 'mqtt://127.0.0.1:1' })", 'MqttBrew needs the package mqtt: run npm install mqtt.'],
    [
      "NatsBrew({ url: 'nats://127.0.0.1:1' })",
      'NatsBrew needs the packages @nats-io/nats-core @nats-io/transport-node: run npm install @nats-io/nats-core @nats-io/transport-node.',
    ],
    ["NatsBrew({ url: 'ws://127.0.0.1:1' })", 'NatsBrew needs the package @nats-io/nats-core: run npm install @nats-io/nats-core.'],
  ])('%s says what to install: at registration, and to whoever brews', (brew, message) => {
    const told = [{ code: 'BREW_DEPENDENCY', message }];
    // Of its patron and of its brewer.
    expect(run(brew)).toEqual({ registering: [...told, ...told], brewing: told });
  });
});
