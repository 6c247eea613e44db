import { expect, it } from 'vitest';
import { MqttBrew } from '../../src/brews/mqtt.js';
import { NatsBrew } from '../../src/brews/nats.js';
import { show } from '../../src/core/id.js';
import { newId } from '../../src/core/index.js';
import { thrown } from '../helpers.js';
import { readPlace, readUrls } from '../../src/brews/internal/broker-options.js';
import { attached } from './rig.js';

it('the error for an unknown option names it, and lists the known ones', () => {
  const { message } = thrown(() => new NatsBrew({ servers: 'nats://me:secret@a' } as never), 'OPTION_INVALID');
  expect(message).toBe('NatsBrew: the option "servers" is not known: there are url, alternatives, username, password, lastValue, prefix, name, token.');
});

it('name and password are taken from url, not from an alternative, and are not told to patrons', () => {
  const { urls, credentials, advertised } = readUrls('MqttBrew', ['mqtt:'], ['mqtt://me:right@a'], ['wss://you:other@a/mqtt'], {});
  expect(credentials).toEqual({ username: 'me', password: 'right' });
  expect(urls).toEqual(['mqtt://a:1883']);
  expect(advertised).toEqual({ tcp: urls, ws: ['wss://a/mqtt'] });
});

it('the options username, password and token take precedence over those in url, which may be escaped', () => {
  const credentials = (url: string, options = {}) => readUrls('NatsBrew', ['nats:'], [url], [], options).credentials;
  expect(credentials('nats://m%40e:r%3Aght@a')).toEqual({ username: 'm@e', password: 'r:ght' });
  expect(credentials('nats://me@a')).toEqual({ username: 'me', password: '' });
  expect(credentials('nats://you:wrong@a', { username: 'me', password: 'right' })).toEqual({ username: 'me', password: 'right' });
  expect(credentials('nats://a', { token: 'x' })).toEqual({ token: 'x' });
  expect(credentials('nats://a')).toEqual({});
});

it.each([
  ['mqtt://A', 'mqtt://a:1883'],
  ['mqtts://a', 'mqtts://a:8883'],
  ['tcp://a', 'mqtt://a:1883'],
  ['ssl://a:1', 'mqtts://a:1'],
  ['nats://a', 'nats://a:4222'],
  ['tls://a/', 'tls://a:4222'],
  ['wss://a:443/', 'wss://a'],
  ['ws://a:80/mqtt', 'ws://a/mqtt'],
])('%s and %s are the same address, which is told to patrons once', (written, plain) => {
  const { urls, advertised } = readUrls('Brew', ['mqtt:', 'mqtts:', 'tcp:', 'ssl:', 'nats:', 'tls:'], [written], [plain], {});
  expect(urls).toEqual([plain]);
  expect(advertised).toEqual(plain.startsWith('ws') ? { ws: [plain] } : { tcp: [plain] });
});

it.each(['wss://a/mqtt#b', 'wss://a/mqtt?b'])('the url %s is refused, as patrons would be told only a part of it', (url) => {
  thrown(() => readUrls('MqttBrew', ['mqtt:'], [url], [], {}), 'OPTION_INVALID');
});

it('of the addresses in the details of a brewer, at most 16 valid ones are used', () => {
  const brewerId = newId();
  const place = (details: object) => readPlace({ name: 'mqtt', ...details }, `p/a/${brewerId}`, brewerId, ['mqtt:'], '/');
  const many = Array.from({ length: 17 }, (_, n) => `mqtt://h${n}:1883`);
  expect(place({ tcp: many }).tcp).toEqual(many.slice(0, 16));
  expect(place({ tcp: ['mqtt://A', 'mqtt://', 'nats://a', 'a', 7], ws: ['wss://a/x', 'mqtt://a'] })).toMatchObject({ tcp: ['mqtt://a:1883'], ws: ['wss://a/x'] });
  expect(place({ tcp: 'mqtt://a', ws: null })).toMatchObject({ tcp: [], ws: [] });
  expect([place({ join: true }), place({ join: 'yes' }), place({})].map(({ join }) => join)).toEqual([true, false, false]);
});

it('the limits of an address count bytes and levels, as brokers do', () => {
  const brewerId = newId();
  const read = (before: string) => readPlace({ name: 'mqtt' }, `${before}/${brewerId}`, brewerId, ['mqtt:'], '/');
  for (const [longest, more] of [['a/'.repeat(188) + 'a', '/a'], ['é'.repeat(1933) + 'a', 'a']] as const) {
    expect(read(longest).address).toBe(`${longest}/${brewerId}`);
    expect(thrown(() => read(longest + more), 'BREW_CONFIG_INVALID').message).toMatch(/^A brewer publishes where it should not: /);
  }
});

it.each([
  ['MqttBrew', () => new MqttBrew({ url: 'mqtt://127.0.0.1:1' }), '/'],
  ['NatsBrew', () => new NatsBrew({ url: 'nats://127.0.0.1:1' }), '.'],
] as const)('a brewer is registered without a %s if patrons of another brewer are answered at its address', async (kind, make, separator) => {
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
