import { expect, it } from 'vitest';
import { NatsBrew } from '../../src/brews/nats.js';
import { thrown } from '../helpers.js';
import { readUrls } from '../../src/brews/internal/broker-options.js';

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
