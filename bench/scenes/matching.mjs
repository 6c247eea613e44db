// The work of the control server: matching, through real sockets.
import { idOf, openControl, PacketType } from '../lib/raw-control.mjs';
import { peers } from '../peers/index.mjs';

const BREWS = [{ name: 'bench' }]; // not the server's own relay, so that the server need not wait for a JOIN
const LABELS = { ours: 'pubkeeper' };

async function withServer(run) {
  const server = await peers.plain.server();
  try {
    return await run(server.info);
  } finally {
    await server.close();
  }
}

/** Opens connections that register up to 10,000 members each; waits for as many packets of the type `answer` in all. */
async function registerAll(info, { count, type, answer, payload }) {
  let heard = 0;
  let done;
  const all = new Promise((resolve) => (done = resolve));
  for (let from = 0; from < count; from += 10_000) {
    const connection = await openControl(info, (packet) => {
      if (packet.type === answer && ++heard === count) done();
    });
    for (let i = from; i < Math.min(count, from + 10_000); i++) connection.send(type, payload(i));
  }
  await all;
}

const patron = (topic) => (i) => ({ topic: topic(i), patron_id: idOf(i), brews: BREWS });
const brewer = (topic) => (i) => ({ topic: topic(i), brewer_id: idOf(i), brewer_config: {}, brews: BREWS });

/** Seconds from the first registration of `count` patrons to the last match with as many brewers. */
export const matching = (count) => ({
  title: `matching: ${count.toLocaleString('en')} patrons, then as many brewers`,
  unit: 's',
  better: 'less',
  names: ['ours'],
  labels: LABELS,
  run: () =>
    withServer(async (info) => {
      const pattern = (i) => (i % 10 === 8 ? `plant.*.t${i}` : i % 10 === 9 ? `plant.**.t${i}` : `plant.p${i % 100}.t${i}`);
      const start = performance.now();
      await registerAll(info, { count, type: PacketType.PATRON_REGISTER, answer: PacketType.BREWER_NOTIFY, payload: patron(pattern) });
      await registerAll(info, {
        count,
        type: PacketType.BREWER_REGISTER,
        answer: PacketType.PATRON_NOTIFY,
        payload: brewer((i) => `plant.p${i % 100}.t${i}`),
      });
      return (performance.now() - start) / 1000;
    }),
});

const SHAPES = {
  '**.temperature': () => '**.temperature',
  'exact and literal': (n) => `site.s${n % 100}.device.d${n % 100_000}.state`,
  'one *': (n) => `site.*.device.d${n % 100_000}.state`,
  '** in the middle': (n) => `site.**.d${n % 100_000}.state`,
  '** at both ends': (n) => `**.d${n % 100_000}.**`,
};

/** Registrations a second of patrons with at most ten matches among `count` brewers, each answered. */
export const registrations = (count) => ({
  title: `a patron registers among ${count.toLocaleString('en')} brewers, ≤ 10 matches`,
  unit: 'registrations/s',
  better: 'more',
  names: Object.keys(SHAPES),
  labels: Object.fromEntries(Object.keys(SHAPES).map((shape) => [shape, shape])),
  isOurs: true, // the rows are shapes of patterns
  async all(names, { ms }) {
    return withServer(async (info) => {
      const each = count / 10;
      const topic = (i) => (i % each === 0 ? `site.s${i % 100}.device.d${i}.temperature` : `site.s${i % 100}.device.d${i}.state`);
      await registerAll(info, { count, type: PacketType.BREWER_REGISTER, answer: PacketType.PATRON_NOTIFY, payload: brewer(topic) });
      let left = 0;
      let done;
      const connection = await openControl(info, ({ type }) => {
        if (type === PacketType.BREWER_NOTIFY && --left === 0) done();
      });
      const values = new Map();
      for (const name of names) {
        const rates = [];
        for (let round = 0, start = performance.now(); round < 5 || performance.now() - start < ms / 2; round++) {
          left = 100;
          const answered = new Promise((resolve) => (done = resolve));
          const began = performance.now();
          for (let i = 0; i < 100; i++) {
            const id = idOf(i);
            connection.send(PacketType.PATRON_REGISTER, { topic: SHAPES[name](round * 9973 + i * 7 + 1), patron_id: id, brews: BREWS });
            connection.send(PacketType.PATRON_UNREGISTER, { topic: '', patron_id: id });
          }
          await answered;
          rates.push(100 / ((performance.now() - began) / 1000));
          if (round === 20) break; // after some 40,000 packets the server limits the connection's rate
        }
        values.set(name, rates);
      }
      return values;
    });
  },
});
