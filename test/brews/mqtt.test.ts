import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { MqttBrew, type MqttBrewOptions } from '../../src/brews/mqtt.js';
import { newId } from '../../src/core/index.js';
import { rawFrame, rejected, thrown } from '../helpers.js';
import { aedes, type Broker } from './aedes.js';
import { files, findProgram, mosquitto } from './processes.js';
import { attached, freePort, pair, TOPIC } from './rig.js';

const program = findProgram('mosquitto');

const clean: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

type Start = (options?: { tcp?: number; ws?: number; login?: boolean }) => Promise<Broker>;

const startMosquitto: Start = async ({ tcp, ws, login } = {}) => {
  const made = files({ passwords: '' });
  clean.push(made.remove);
  if (login) spawnSync('mosquitto_passwd', ['-b', made.path('passwords'), 'me', 'right']);
  const passwords = login ? readFileSync(made.path('passwords'), 'utf8') : undefined;
  return mosquitto(program!, { ...(tcp && { tcp }), ...(ws && { ws }), ...(passwords !== undefined && { passwords }) });
};

function brew(options: MqttBrewOptions) {
  const rig = attached(new MqttBrew(options));
  clean.push(() => rig.brew.close());
  return rig;
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

describe.each([
  ['mosquitto', startMosquitto, program === undefined],
  ['aedes', aedes, false],
] as const)('MqttBrew and %s', (_, start, skip) => {
  const serve: Start = async (options) => {
    const broker = await start(options);
    let alive = true;
    const kill = async (): Promise<void> => {
      if (alive) await broker.kill();
      alive = false;
    };
    clean.push(kill);
    return { ...broker, kill };
  };

  it.skipIf(skip).each([
    ['tcp', 0],
    ['tcp', 1],
    ['ws', 0],
    ['ws', 1],
  ] as const)('carries frames in order by %s with QoS %i, also those brewed before the patron had subscribed', async (way, qos) => {
    const broker = await serve();
    const writer = brew({ url: broker[way], qos });
    const reader = brew({ url: broker[way], qos });
    const box = await pair(writer.brew, reader.brew);
    for (let i = 0; i < 200; i++) void box.say(String(i));
    expect(await box.take(200)).toEqual(numbers(200));
    expect([...writer.errors, ...reader.errors]).toEqual([]);
  });

  it.skipIf(skip)('publishes on one topic for each brewer, where the broker can grant it', async () => {
    const broker = await serve();
    const box = await pair(brew({ url: broker.tcp, alternatives: [broker.ws], prefix: 'plant/a' }).brew, brew({ url: broker.ws }).brew);
    expect(box.details).toEqual({
      name: 'mqtt',
      tcp: [broker.tcp],
      ws: [broker.ws],
      topic: `plant/a/demo/one/${box.brewerId}`,
      join: true,
    });
    void box.say('one');
    expect(await box.next()).toBe('one');
  });

  it.skipIf(skip)('keeps the last value at the broker, for newcomers, until the brewer is gone', async () => {
    const broker = await serve();
    const writer = brew({ url: broker.tcp });
    const box = await pair(writer.brew, brew({ url: broker.tcp }).brew);
    await box.say('one');
    await box.say('two');
    expect(await box.take(2)).toEqual(['one', 'two']);
    const guest = brew({});
    expect(guest.brew.brewerDetails({ topic: TOPIC, brewerId: newId() })).toBeUndefined();
    const late = await pair(writer.brew, guest.brew, box.brewerId);
    expect(await late.next()).toBe('two');
    expect(late.all[0]!.retained).toBe(true);
    expect(Buffer.isBuffer(late.all[0]!.frame)).toBe(false);
    await writer.brew.close();
    // A brewer of the same id: what a patron gets now is from it.
    const again = brew({ url: broker.tcp });
    const fresh = await pair(again.brew, brew({ url: broker.tcp }).brew, box.brewerId);
    await fresh.say('three');
    expect(await fresh.next()).toBe('three');
    expect(fresh.all[0]!.retained).toBe(false);
  });

  it.skipIf(skip)('keeps nothing when it is not wanted', async () => {
    const broker = await serve();
    const writer = brew({ url: broker.tcp, lastValue: false });
    const reader = brew({ url: broker.tcp });
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    const late = await pair(writer.brew, brew({ url: broker.tcp }).brew, box.brewerId);
    await late.say('two');
    expect(await late.next()).toBe('two');
  });

  it.skipIf(skip).each([0, 1] as const)('comes back when the broker does, with QoS %i, and sends then what was brewed meanwhile', async (qos) => {
    const broker = await serve();
    const writer = brew({ url: broker.tcp, qos });
    const reader = brew({ url: broker.tcp, qos });
    const box = await pair(writer.brew, reader.brew);
    await box.say('before');
    expect(await box.next()).toBe('before');
    await broker.kill();
    await Promise.all([writer.state(false), reader.state(false)]);
    expect(writer.states[0]).toEqual({ brew: 'mqtt', up: false, scope: {} });
    expect(reader.states[0]?.scope).toEqual({ brewerId: box.brewerId, patronId: box.patronId });
    const meanwhile = box.say('meanwhile');
    await serve({ tcp: broker.ports[0] });
    await meanwhile;
    await Promise.all([writer.state(true), reader.state(true)]);
    // Kept by the broker, if it came before the patron.
    expect(await box.next()).toBe('meanwhile');
    await box.say('after');
    expect(await box.next()).toBe('after');
    expect(writer.errors.map(({ code }) => code)).toEqual(['CONNECTION_LOST']);
  });

  it.skipIf(skip)('says that credentials are refused, does not try again, and refuses what is brewed', async () => {
    const broker = await serve({ login: true });
    const wrong = brew({ url: broker.tcp, username: 'me', password: 'wrong' });
    const box = await pair(wrong.brew, brew({}).brew);
    const error = await wrong.error('UNAUTHORIZED');
    expect(error.message).toMatch(
      /^The MQTT broker at mqtt:\/\/127\.0\.0\.1:\d+ refuses this client \(.*\): check the brew's username and password\.$/,
    );
    expect(JSON.stringify([error.message, error.details])).not.toContain('wrong');
    expect(await wrong.state(false)).toMatchObject({ up: false, scope: {} });
    await rejected(Promise.resolve().then(() => box.say('x')), 'UNAUTHORIZED');
    const right = brew({ url: broker.tcp.replace('//', '//me:right@') });
    const good = await pair(right.brew, brew({ url: broker.tcp, username: 'me', password: 'right' }).brew);
    expect(JSON.stringify(good.details)).not.toMatch(/me:|right/);
    await good.say('let in');
    expect(await good.next()).toBe('let in');
  });

  it.skipIf(skip)('does not give its credentials to a broker that a brewer names', async () => {
    const broker = await serve({ login: true });
    const writer = brew({ url: broker.tcp, username: 'me', password: 'right' });
    const other = await serve();
    const reader = brew({ url: other.tcp, username: 'me', password: 'right' });
    await pair(writer.brew, reader.brew);
    await reader.error('UNAUTHORIZED');
  });

  it.skipIf(skip)('has Nagle off: a message does not wait for the acknowledgement of the one before', async () => {
    const broker = await serve();
    const box = await pair(brew({ url: broker.tcp }).brew, brew({ url: broker.tcp }).brew);
    await box.say('x');
    await box.next();
    const begun = performance.now();
    const text = 'x'.repeat(1024);
    for (let i = 0; i < 50; i++) {
      void box.say(text);
      await box.next();
    }
    // With Nagle and delayed acknowledgements it is 12 to 40 ms each.
    expect((performance.now() - begun) / 50).toBeLessThan(8);
  });

  it.skipIf(skip)('waits when the broker does not take data as fast as it is brewed, and refuses more than 16 MiB', async () => {
    const broker = await serve();
    const box = await pair(brew({ url: broker.tcp }).brew, brew({ url: broker.tcp }).brew);
    await box.say('one');
    const text = 'x'.repeat(512 * 1024);
    let waits = 0;
    const fill = (): void => {
      for (let i = 0; i < 200; i++) if (box.say(text)) waits++;
    };
    thrown(fill, 'BUFFER_FULL');
    expect(waits).toBeGreaterThan(10);
  });
});

describe('MqttBrew', () => {
  it('says that there is no broker at an address, once, and goes on trying', async () => {
    const rig = brew({ url: `mqtt://127.0.0.1:${await freePort()}` });
    rig.brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    const error = await rig.error('CONNECT_FAILED');
    expect(error.message).toMatch(/^Cannot connect to the MQTT broker at mqtt:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\): check that it runs there\.$/);
    await rig.state(false);
    expect(rig.errors).toHaveLength(1);
  });

  it.each([
    [{ url: 'http://x' }],
    [{ url: 'mqtt://' }],
    [{ url: 'mqtt://a', prefix: 'a/#' }],
    [{ url: 'mqtt://a', qos: 2 as never }],
    [{ url: 'mqtt://a', alternatives: ['b'] }],
  ])('refuses the options %j', (options) => {
    thrown(() => new MqttBrew(options), 'OPTION_INVALID');
  });

  it.each(['#', '+/x', 'a\0b', ''])('refuses to read the topic %j', (topic) => {
    const { brew: reader } = brew({ url: 'mqtt://127.0.0.1:1' });
    const brewerId = newId();
    const details = { name: 'mqtt', topic: `${topic}/${brewerId}` };
    const start = () => reader.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: () => undefined });
    if (topic) thrown(start, 'BREW_CONFIG_INVALID');
    else clean.push(start());
  });

  it('one brew serves one client; without a broker it cannot brew', () => {
    const { brew: guest, host } = brew({});
    thrown(() => guest.attach(host), 'BREW_IN_USE');
    const start = () => guest.startBrewer({ topic: TOPIC, brewerId: newId(), patronId: newId(), details: { name: 'mqtt' } });
    thrown(start, 'BREW_CONFIG_INVALID');
    expect(guest.brew(newId(), rawFrame(TOPIC, newId(), 'x'))).toBeUndefined();
  });
});
