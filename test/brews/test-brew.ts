import { BrokerBrew } from '../../src/brews/internal/broker-brew.js';
import type { BrokerWay } from '../../src/brews/internal/broker-way.js';

/** A brew over brokers that exist only in its test: `dial` makes the lines to them. A patron finds its broker by the detail `tcp`. */
export class TestBrew extends BrokerBrew {
  constructor(way: Pick<BrokerWay, 'dial'> & Partial<BrokerWay>) {
    super({
      kind: 'TestBrew',
      name: 'test',
      urls: ['own'],
      credentials: {},
      separator: '.',
      lastValue: 'brewer',
      most: Infinity,
      load: () => Promise.resolve(),
      addressOf: (topic, brewerId) => `${topic}.${brewerId}`,
      details: ({ address, join }) => ({ name: 'test', address, join }),
      read: ({ tcp, address, join }, brewerId) => ({ address: String(address ?? brewerId), tcp: [String(tcp)], ws: [], join: join === true, kept: false }),
      reachable: ({ tcp }) => tcp,
      ...way,
    });
  }
}
