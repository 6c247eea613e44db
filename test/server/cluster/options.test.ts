import { describe, expect, it } from 'vitest';
import { readClusterOptions } from '../../../src/server/cluster/options.js';
import { thrown } from '../../helpers.js';

describe('options of a cluster', () => {
  it('take one address or several, and keep a password out of what is shown', () => {
    expect(readClusterOptions(undefined)).toBeUndefined();
    expect(readClusterOptions({ servers: 'nats://a:4222, tls://b:4223,c' })).toMatchObject({ servers: ['nats://a:4222', 'tls://b:4223', 'nats://c'], name: 'pubkeeper' });
    expect(readClusterOptions({ servers: ['nats://me:s%20cret@a:1'] })).toMatchObject({ servers: ['nats://a:1'], username: 'me', password: 's cret' });
    expect(readClusterOptions({ servers: 'nats://a:1,nats://me:secret@b:1' })).toMatchObject({ servers: ['nats://a:1', 'nats://b:1'], username: 'me', password: 'secret' });
  });

  it('are refused when they are wrong, with a sentence that shows no password', () => {
    for (const bad of [{ servers: [] }, { servers: 'http://a' }, { servers: 'nats://me:secret@' }, { servers: 'a', name: 'a.b' }, { servers: 'a', name: '' }, { servers: 'a', replicas: 6 }, { servers: 'a', token: '' }, { servers: 'nats://me:100%secret@a' }, { servers: 'a', credentials: 7 }, { servers: 'a', nmae: 'x' }, 7]) {
      const error = thrown(() => readClusterOptions(bad as never), 'OPTION_INVALID');
      expect(error.message).toMatch(/^The option "cluster/);
      expect(error.message).not.toContain('secret');
    }
  });
});
