import type { TlsOptions } from '@nats-io/nats-core';
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';

/** What the library passes on to Node's `tls.connect`, beyond what its types say. */
type NodeTls = TlsOptions & { readonly checkServerIdentity: typeof checkServerIdentity };

/**
 * The TLS options for these NATS servers. If an address is an IP address, the library gives Node no server name, and Node looks for
 * "localhost" in the certificate: this looks for one of the IP addresses instead.
 * @param servers such as `tls://10.0.0.1:4222`
 */
export function natsTls(servers: readonly string[]): TlsOptions {
  const hosts = servers.map((server) => new URL(server).hostname.replace(/^\[|\]$/g, ''));
  const numbers = hosts.filter((host) => isIP(host));
  const check = (name: string, certificate: PeerCertificate): Error | undefined => {
    const names = name === 'localhost' && !hosts.includes(name) && numbers.length ? numbers : [name];
    const problems = names.map((one) => checkServerIdentity(one, certificate));
    return problems.includes(undefined) ? undefined : problems[0];
  };
  const options: NodeTls = { checkServerIdentity: check };
  return options;
}
