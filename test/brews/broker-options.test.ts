import { expect, it } from 'vitest';
import { MqttBrew } from '../../src/brews/mqtt.js';
import { NatsBrew } from '../../src/brews/nats.js';
import { show } from '../../src/core/id.js';
import { newId } from '../../src/core/index.js';
import { thrown } from '../helpers.js';
import { readUrls } from '../../src/brews/internal/broker-options.js';
import { attached } from './rig.js';

it('names an option that is not known, and those that are', () => {
  const { message } = thrown(() => new NatsBrew({ servers: 'nats://me:secret@a' } as never), 'OPTION_INVALID');
  expect(message).toBe('NatsBrew: the option "servers" is not known: there are url, alternatives, username, password, lastValue, prefix, name, token.');
});

it('takes name and password from url, and not from an alternative, whose own are told to nobody', () => {
  const { urls, credentials, advertised } = readUrls('MqttBrew', ['mqtt:'], ['mqtt://me:right@a'], ['wss://you:other@a/mqtt'], {});
  expect(credentials).toEqual({ username: 'me', password: 'right' });
  expect(urls).toEqual(['mqtt://a:1883']);
  expect(advertised).toEqual({ tcp: urls, ws: ['wss://a/mqtt'] });
});

it.each([
  ['MqttBrew', () => new MqttBrew({ url: 'mqtt://127.0.0.1:1' }), '/'],
  ['NatsBrew', () => new NatsBrew({ url: 'nats://127.0.0.1:1' }), '.'],
] as const)('a brewer is registered without a %s where patrons of another brewer are answered, for one of them may have its id', async (kind, make, separator) => {
  const { brew, errors } = attached(make());
  const [other, brewerId] = [newId(), newId()];
  const details = (topic: string): unknown => brew.brewerDetails({ topic, brewerId });
  expect(details(`demo.${other}.to`)).toBeUndefined();
  const address = ['pubkeeper', 'demo', other, 'to', brewerId].join(separator);
  const message = `A brewer is registered without this ${kind}: at ${show(address)} patrons of another brewer are answered. Brew to another topic.`;
  expect(errors.map((error) => [error.code, error.message])).toEqual([['BREW_FAILED', message]]);
  for (const topic of ['demo.to', `demo.${other.slice(1)}.to`, `demo.x${other}.to`, `demo.${other}.to.one`, `demo.${other}.too`]) expect(details(topic), topic).toBeDefined();
  await brew.close();
});
