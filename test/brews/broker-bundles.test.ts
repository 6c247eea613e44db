import { afterEach, expect, it } from 'vitest';
import { MqttBrew } from '../../src/brews/mqtt.js';
import { NatsBrew } from '../../src/brews/nats.js';
import { Patron, PubkeeperClient, WebSocketBrew, type Brew } from '../../src/index.js';
import { createServer } from '../../src/server/index.js';
import { thrown } from '../helpers.js';
import { findProgram, mosquitto, nats } from './processes.js';

// Short messages that are brewed together travel as one frame. A broker that takes only short messages would lose all of them.

const natsServer = findProgram('nats-server');
const mosquittoServer = findProgram('mosquitto');

const clean: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

/** 1000 messages of 100 bytes that are brewed at once, some of them before the broker has been reached, arrive in order. Returns the brewer and its errors. */
async function carriesTogether(make: () => Brew, others: () => Brew[] = () => []) {
  const server = await createServer({ port: 0, tokens: { secret: [{ topic: '**', read: true, write: true }] } });
  clean.push(() => server.close());
  const errors: string[] = [];
  const client = () => {
    const made = new PubkeeperClient({ server: server.url, token: 'secret', brews: [make(), ...others()] });
    clean.push(() => made.disconnect());
    made.on('error', ({ message }) => errors.push(message));
    return made;
  };
  const [writer, reader] = [client(), client()];
  const patron = reader.addPatron(new Patron('demo.one'));
  const brewer = writer.addBrewer('demo.one');
  const numbers = Array.from({ length: 1000 }, (_, i) => String(i));
  const say = (): void => numbers.forEach((number) => void brewer.brewText(number.padEnd(100)));
  let accept!: () => void;
  const matched = new Promise<void>((resolve) => (accept = resolve));
  brewer.on('matched', () => (say(), accept()));
  await Promise.all([writer.connect(), reader.connect()]);
  await matched;
  const take = async (): Promise<string[]> => {
    const got: string[] = [];
    for await (const message of patron) {
      got.push(message.text().trim());
      if (got.at(-1) === '999') break;
    }
    return got;
  };
  expect(await take()).toEqual(numbers);
  const again = take();
  say();
  expect(await again).toEqual(numbers);
  expect(errors).toEqual([]);
  return { brewer, errors };
}

it.skipIf(!natsServer).each([8192, 64 * 1024])('messages that are brewed together arrive through a NATS server that takes %i bytes', async (maxPayload) => {
  const server = await nats(natsServer!, { maxPayload });
  clean.push(() => server.kill());
  await carriesTogether(() => new NatsBrew({ url: server.tcp }));
});

it.skipIf(!natsServer)('so they do where another brew would take longer ones', async () => {
  const server = await nats(natsServer!, { maxPayload: 8192 });
  clean.push(() => server.kill());
  await carriesTogether(() => new NatsBrew({ url: server.tcp }), () => [new WebSocketBrew()]);
});

it.skipIf(!mosquittoServer)('messages that are brewed together arrive through an MQTT broker that takes packets of 64 KiB', async () => {
  const broker = await mosquitto(mosquittoServer!, { maxPacket: 64 * 1024 });
  clean.push(() => broker.kill());
  await carriesTogether(() => new MqttBrew({ url: broker.tcp }));
});

it.skipIf(!mosquittoServer).each([0, 1] as const)('with maxPayload they arrive through one that drops longer messages silently, and brew() rejects those, with QoS %i', async (qos) => {
  const broker = await mosquitto(mosquittoServer!, { maxMessage: 8192 });
  clean.push(() => broker.kill());
  const { brewer, errors } = await carriesTogether(() => new MqttBrew({ url: broker.tcp, qos, maxPayload: 8192 }));
  void brewer.brewText('x'.repeat(8192 - 104));
  await brewer.brewText('waits'); // in the frame of that one, or in a later one
  const long = 'x'.repeat(8192 - 103);
  void brewer.brewText(long);
  await expect.poll(() => errors).toEqual([expect.stringMatching(/^The MQTT broker at mqtt:\/\/\S+ takes messages of up to 8192 bytes, and this one has 8193: brew shorter ones, or raise its limit and the option maxPayload\.$/)]);
});

it.each([0, 255, 1000.5, NaN, '9000', null])('maxPayload %j is refused', (maxPayload) => {
  const { message } = thrown(() => new MqttBrew({ url: 'mqtt://a', maxPayload: maxPayload as never }), 'OPTION_INVALID');
  expect(message).toMatch(/^MqttBrew: maxPayload must be a whole number of bytes, at least 256, not /);
});
