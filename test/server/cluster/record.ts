import type { RegistryRecord } from '../../../src/server/cluster/records.js';
import { id } from '../../helpers.js';

/** A brewer as a record of the registry. */
export const brewerRecord = (n: number, at: number, topic = 'a.b'): RegistryRecord => ({
  kind: 'brewer',
  id: id(n),
  topic,
  config: { cipher: { mode: 'NONE', key: '' } },
  brews: [{ name: 'websocket', hostname: null, port: null }],
  down: [],
  at,
});
