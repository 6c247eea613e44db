import { expect, it } from 'vitest';
import { readUrls } from '../../src/brews/internal/broker-options.js';

it('takes name and password from url, and not from an alternative, whose own are told to nobody', () => {
  const { urls, credentials, advertised } = readUrls('MqttBrew', ['mqtt:'], ['mqtt://me:right@a'], ['wss://you:other@a/mqtt'], {});
  expect(credentials).toEqual({ username: 'me', password: 'right' });
  expect(urls).toEqual(['mqtt://a:1883']);
  expect(advertised).toEqual({ tcp: urls, ws: ['wss://a/mqtt'] });
});
