import { Option } from 'commander';
import { type Brew, WebSocketBrew } from '../index.js';
import { show } from '../core/id.js';
import { refused, usage } from './exit.js';

// --brew: the transport of the data. Each brew is loaded only when it is asked for.

/** A brew as given on the command line: its name and its address. */
export interface BrewFlag {
  readonly name: BrewName;
  readonly address: string | undefined;
}

const NAMES = ['websocket', 'mqtt', 'nats', 'local'] as const;
type BrewName = (typeof NAMES)[number];

/** Environment variables for addresses that may contain a password, which a command line would show. */
const ENVIRONMENT: Partial<Record<BrewName, string>> = { mqtt: 'PUBKEEPER_MQTT', nats: 'PUBKEEPER_NATS' };

export const brewOption = (): Option =>
  new Option('-b, --brew <name[=address]>', 'transport to use; repeat in order of preference (default: websocket)').argParser(
    parseBrew,
  );

/** One `--brew`, added to those before it. */
export function parseBrew(text: string, before: readonly BrewFlag[] = []): readonly BrewFlag[] {
  const at = text.indexOf('=');
  const word = at < 0 ? text : text.slice(0, at);
  const name = NAMES.find((known) => known === word);
  if (!name) throw usage(`The brew must be one of ${NAMES.join(', ')}, perhaps with =ADDRESS, not ${show(word)}.`);
  if (before.some((flag) => flag.name === name)) throw usage(`--brew ${name} is given twice: give it only once.`);
  return [...before, { name, address: at < 0 ? undefined : text.slice(at + 1) }];
}

/**
 * Makes the brews that were asked for. A client that brews needs the address of a broker; one that only subscribes can use the
 * addresses that brewers name.
 */
export async function makeBrews(flags: readonly BrewFlag[] | undefined, brews: boolean): Promise<Brew[] | undefined> {
  return flags && Promise.all(flags.map((flag) => makeBrew(flag, brews).catch(refused)));
}

async function makeBrew({ name, address }: BrewFlag, brews: boolean): Promise<Brew> {
  const variable = ENVIRONMENT[name];
  const url = address ?? (variable && process.env[variable]) ?? undefined;
  if (variable && !url && brews) {
    throw usage(`--brew ${name} needs the address of a broker: give --brew ${name}=URL, or set ${variable}.`);
  }
  switch (name) {
    case 'websocket':
      return new WebSocketBrew(url === undefined ? {} : readRelay(url));
    case 'mqtt':
      return new (await import('../brews/mqtt.js')).MqttBrew(url === undefined ? {} : { url });
    case 'nats':
      return new (await import('../brews/nats.js')).NatsBrew(url === undefined ? {} : { url: url.split(',') });
    case 'local':
      return new (await import('../brews/local.js')).LocalBrew(url === undefined ? {} : { directory: url });
  }
}

function readRelay(text: string): { hostname: string; port: number; secure: boolean } {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const secure = url?.protocol === 'wss:';
  if (!url || !(secure || url.protocol === 'ws:')) throw usage(`The relay must be a URL like ws://127.0.0.1:8000, not ${show(text)}.`);
  const { protocol, hostname, port, host } = url;
  // Patrons are told only a host and a port (protocol, section 4), and would not find a relay at a path. Do not show the rest of the
  // URL: it may contain a password.
  if (!/^\/?$/.test(url.href.slice(`${protocol}//${host}`.length))) {
    throw usage(`A relay has only a host and a port: give --brew websocket=${protocol}//${host}. One behind a path is that of its control server: leave out the address.`);
  }
  return { hostname, port: port ? Number(port) : secure ? 443 : 80, secure };
}
