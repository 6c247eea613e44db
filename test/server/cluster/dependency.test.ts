import { describe, expect, it } from 'vitest';
import { barePackage } from '../../bare-package.js';

// The package as it is installed, without the optional packages of NATS.

const bare = barePackage(['jose', 'send', 'ws']);

function run(options: string): string {
  const script = `
    import { createServer } from 'pubkeeper/server';
    const server = await createServer({ port: 0, ${options} }).catch(({ code, message }) => ({ code, message }));
    console.log(JSON.stringify([server.code ?? 'runs', server.message ?? '']));
    process.exit(0);`;
  return bare(script);
}

describe('without the packages of NATS', () => {
  it('a server runs, and one with the option cluster says what to install', () => {
    expect(JSON.parse(run(''))).toEqual(['runs', '']);
    const [code, message] = JSON.parse(run("cluster: { servers: 'nats://127.0.0.1:1' }")) as [string, string];
    expect(code).toBe('CLUSTER_DEPENDENCY');
    expect(message).toMatch(/run npm install @nats-io\/transport-node @nats-io\/jetstream @nats-io\/kv\.$/);
  });
});
