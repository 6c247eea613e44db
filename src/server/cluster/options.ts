import { PubkeeperError } from '../../core/errors.js';
import { show } from '../../core/id.js';

/** Makes several servers form one network, over an existing NATS. Give all of them the same options. */
export interface ClusterOptions {
  /** The addresses of NATS servers, `nats://host:4222` or `tls://…`; a text may list several, with commas. */
  readonly servers: string | readonly string[];
  /** The name of the network; different names separate networks on one NATS: 1 to 32 letters, digits, `-` and `_`. Default `pubkeeper`. */
  readonly name?: string | undefined;
  /** The user name for NATS. Default: that in the first address that has a user name or a password, if any. */
  readonly username?: string | undefined;
  /** The password for NATS. Default: that in the first address that has a user name or a password, if any. */
  readonly password?: string | undefined;
  /** The token for NATS, if it uses tokens. */
  readonly token?: string | undefined;
  /** The text of a credentials file, as made by `nsc`. */
  readonly credentials?: string | Uint8Array | undefined;
  /** How many NATS servers keep the registry, 1 to 5. Default: 3, or 1 if NATS is a single server. */
  readonly replicas?: number | undefined;
}

const NAMES = ['servers', 'name', 'username', 'password', 'token', 'credentials', 'replicas'];

/** The options, checked and with their defaults. */
export interface ClusterSettings {
  readonly servers: readonly string[];
  readonly name: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly token: string | undefined;
  readonly credentials: Uint8Array | undefined;
  readonly replicas: number | undefined;
}

/** @throws {PubkeeperError} `OPTION_INVALID` */
export function readClusterOptions(options: ClusterOptions | undefined): ClusterSettings | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null) throw invalid('', 'must be an object like {servers: "nats://127.0.0.1:4222"}', options);
  const { servers, name = 'pubkeeper', replicas, credentials } = options;
  // The value is not shown, because it may be a secret.
  const unknown = Object.keys(options).find((option) => !NAMES.includes(option));
  if (unknown !== undefined) throw new PubkeeperError('OPTION_INVALID', `The option "cluster.${unknown}" is not known: the options are ${NAMES.join(', ')}.`, { option: `cluster.${unknown}` });
  if (credentials !== undefined && typeof credentials !== 'string' && !ArrayBuffer.isView(credentials)) {
    throw new PubkeeperError('OPTION_INVALID', 'The option "cluster.credentials" must be the text of a credentials file, or its bytes.', { option: 'cluster.credentials' });
  }
  const given = (typeof servers === 'string' ? servers.split(',') : Array.isArray(servers) ? servers : []) as readonly unknown[];
  if (!given.length) throw invalid('servers', 'must be an address like nats://127.0.0.1:4222, or a list of them', servers);
  const urls = given.map((server) => address(server));
  if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,32}$/.test(name)) {
    throw invalid('name', 'must be 1 to 32 letters, digits, "-" and "_"', name);
  }
  if (replicas !== undefined && !(Number.isInteger(replicas) && replicas >= 1 && replicas <= 5)) {
    throw invalid('replicas', 'must be a whole number from 1 to 5', replicas);
  }
  const text = (key: 'username' | 'password' | 'token'): string | undefined => {
    const value: unknown = options[key];
    if (value === undefined || (typeof value === 'string' && value)) return value;
    // The value is not shown, because it may be another kind of secret.
    throw new PubkeeperError('OPTION_INVALID', `The option "cluster.${key}" must be a text that is not empty.`, { option: `cluster.${key}` });
  };
  const named = urls.find(({ username, password }) => username !== undefined || password !== undefined);
  return {
    servers: urls.map(({ server }) => server),
    name,
    username: text('username') ?? named?.username,
    password: text('password') ?? named?.password,
    token: text('token'),
    credentials: typeof credentials === 'string' ? new TextEncoder().encode(credentials) : credentials,
    replicas,
  };
}

/** An address without the name and password that may be in it: those must not get into messages. */
function address(given: unknown): { server: string; username?: string; password?: string } {
  let url: URL | undefined;
  let [username, password] = ['', ''];
  const text = typeof given === 'string' ? given.trim() : '';
  try {
    const read = new URL(text.includes('://') ? text : `nats://${text}`);
    [username, password] = [decodeURIComponent(read.username), decodeURIComponent(read.password)];
    url = read;
  } catch {
    // told below
  }
  if (!url || !text || !url.hostname || (url.protocol !== 'nats:' && url.protocol !== 'tls:')) {
    // A text with an @ may hold a password.
    const shown = text.includes('@') ? 'what was given' : given;
    const hint = text.includes('%') ? ' (a "%" of a password is written as "%25" there)' : '';
    throw invalid('servers', `must hold addresses like nats://127.0.0.1:4222 or tls://…${hint}`, shown);
  }
  const { protocol, host } = url;
  return { server: `${protocol}//${host}`, ...(username && { username }), ...(password && { password }) };
}

const invalid = (name: string, why: string, value: unknown): PubkeeperError =>
  new PubkeeperError('OPTION_INVALID', `The option "cluster${name && `.${name}`}" ${why}, not ${show(value)}.`, { option: `cluster.${name}` });
