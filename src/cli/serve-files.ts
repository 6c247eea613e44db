import { show } from '../core/id.js';
import type { Authenticator, ClusterOptions, JwtOptions, ServerOptions } from '../server/index.js';
import { JwtAuthenticator, readTokens, Tokens } from '../server/index.js';
import { PubkeeperError } from '../core/errors.js';
import { readClusterOptions } from '../server/cluster/options.js';
import { readText as read } from '../server/read-text.js';
import { failure, refused, systemCode, usage } from './exit.js';
import type { JwtFlags, ServeFlags } from './serve-flags.js';
import { either, EVERYTHING, tokenTable } from './tokens.js';

// What `serve` reads from files, when it starts and at each SIGHUP.

/** Everything that a reload may change. */
export async function readSecrets(flags: ServeFlags): Promise<Pick<ServerOptions, 'tokens' | 'tls' | 'ticketKeys'>> {
  const [tokens, tls, ticketKeys] = [await authenticator(flags), await certificate(flags), await ticketKeysOf(flags)];
  return { ...(tokens && { tokens }), ...(tls && { tls }), ...(ticketKeys && { ticketKeys }) };
}

/** Whether a reload can change anything. */
export const readsFiles = ({ tokens, jwtKeyFile, jwtJwksUrl, ticketKeyFile, tlsCert }: ServeFlags): boolean =>
  [tokens, jwtKeyFile, jwtJwksUrl, ticketKeyFile, tlsCert].some((flag) => flag !== undefined);

/** Who may connect, by the flags and the environment; undefined if they do not say. */
async function authenticator(flags: ServeFlags): Promise<Authenticator | undefined> {
  const { tokens: path, token } = flags;
  const own = process.env['PUBKEEPER_TOKEN'];
  const jwt = await jwtAuthenticator(flags);
  const table = token ?? (own && path === undefined && !jwt ? new Map([[own, EVERYTHING]]) : undefined);
  const all = [table && new Tokens(tokenTable(table)), path === undefined ? undefined : await readTokens(path), jwt];
  return all.filter((one): one is Tokens | JwtAuthenticator => one !== undefined).reduce<Authenticator | undefined>(
    (before, one) => (before ? either(before, one) : one),
    undefined,
  );
}

/** The authenticator for signed tokens; undefined if no flag asks for them. */
export async function jwtAuthenticator(flags: JwtFlags): Promise<JwtAuthenticator | undefined> {
  const options = jwtOptionsOf(flags);
  // A wrong URL is a usage error; a key file may be named rightly and have wrong contents.
  if (!options) return undefined;
  const made = JwtAuthenticator.create(options);
  return options.jwksUrl === undefined ? made : made.catch(refused);
}

/** The flags and the environment as `JwtAuthenticator` takes them; undefined where there are none. */
export function jwtOptionsOf(flags: JwtFlags): JwtOptions | undefined {
  const { jwtKeyFile: keyFile, jwtJwksUrl: jwksUrl, jwtIssuer: issuer, jwtAudience: audience, jwtAlgorithms: algorithms, jwtLeeway } = flags;
  const own = process.env['PUBKEEPER_JWT_KEY'];
  const given = [keyFile, jwksUrl, issuer, audience, algorithms, jwtLeeway].some((flag) => flag !== undefined);
  if (!given) return undefined;
  if (keyFile !== undefined && jwksUrl !== undefined) throw usage('--jwt-key-file and --jwt-jwks-url exclude each other: give one.');
  const source = keyFile !== undefined ? { keyFile } : jwksUrl !== undefined ? { jwksUrl } : own ? { key: own } : undefined;
  if (!source) throw usage('Signed tokens need a key: give --jwt-key-file or --jwt-jwks-url, or set PUBKEEPER_JWT_KEY.');
  if (!issuer || !audience || !algorithms) {
    throw usage('Signed tokens need --jwt-issuer, --jwt-audience and --jwt-algorithms: what is not asked for is not checked.');
  }
  return { ...source, issuer, audience, algorithms, ...(jwtLeeway !== undefined && { leewaySeconds: jwtLeeway }) };
}

/** The two files of TLS; undefined where neither is given. */
async function certificate({ tlsCert, tlsKey }: ServeFlags): Promise<{ cert: string; key: string } | undefined> {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) throw usage('--tls-cert and --tls-key go together: give both, or neither.');
  return { cert: await readText(tlsCert), key: await readText(tlsKey) };
}

/** The options of the cluster, with its credentials for NATS: name, password and token come from the environment, where `ps` does not show them. */
export async function clusterOf({ cluster, clusterName, clusterCredentials, clusterReplicas }: ServeFlags): Promise<ClusterOptions | undefined> {
  if (cluster === undefined) {
    // Without --cluster the server would run alone, and nobody would notice.
    if ((clusterName && clusterName !== 'pubkeeper') || clusterCredentials || clusterReplicas !== undefined) {
      throw usage('--cluster-name, --cluster-credentials and --cluster-replicas are for one of several servers: give --cluster too, or leave them out.');
    }
    return undefined;
  }
  const env = (name: string): string | undefined => process.env[`PUBKEEPER_CLUSTER_${name}`] || undefined;
  const [username, password, token] = [env('USER'), env('PASSWORD'), env('TOKEN')];
  const options: ClusterOptions = {
    servers: cluster,
    name: clusterName,
    ...(clusterReplicas !== undefined && { replicas: clusterReplicas }),
    ...(clusterCredentials !== undefined && { credentials: await readText(clusterCredentials) }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(token !== undefined && { token }),
  };
  try {
    readClusterOptions(options);
  } catch (error) {
    refused(error);
  }
  return options;
}

async function ticketKeysOf({ ticketKeyFile: path }: ServeFlags): Promise<Uint8Array[] | undefined> {
  if (path === undefined) return undefined;
  const lines = (await readText(path)).split('\n').map((line) => line.trim()).filter(Boolean);
  const good = lines.length >= 1 && lines.length <= 2 && lines.every((line) => /^([0-9a-f]{2}){32,}$/i.test(line));
  // Do not show what the file holds: it is a key, or nearly one.
  if (!good) throw failure(`The ticket key file ${show(path)} must hold one or two lines of 64 hex digits or more: openssl rand -hex 32 makes one.`);
  return lines.map((line) => Uint8Array.from(Buffer.from(line, 'hex')));
}

export const readText = (path: string): Promise<string> =>
  read(path).catch((cause: unknown) => {
    if (cause instanceof PubkeeperError) throw cause;
    throw failure(`The file ${show(path)} cannot be read (${systemCode(cause) || 'unknown reason'}): check its name and its rights.`, cause);
  });
