import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { LocalBrew, localName } from '../../src/brews/local.js';
import { newId, PubkeeperError } from '../../src/core/index.js';
import { thrown } from '../helpers.js';
import { directory, later, local } from './local-kit.js';
import { TOPIC } from './rig.js';

// The options of a LocalBrew, and the addresses that it uses.

describe('options', () => {
  it('default to a name that identifies this host', () => {
    expect(localName()).toMatch(/^local-\d+$/);
    expect(new LocalBrew().name).toBe(localName());
    expect(new LocalBrew({ name: 'local-7' }).name).toBe('local-7');
  });

  it.each([{ name: '' }, { directory: 'relative' }, { transport: 'pipe' as never }, { maxPayload: 0 }, { lastValue: 'no' as never }])('%j is refused', (options) => {
    expect(thrown(() => new LocalBrew(options), 'OPTION_INVALID')).toBeInstanceOf(PubkeeperError);
  });

  it.each([['/run/me'], [7], [['/run/me']]])('%j is refused in the place of the options object', (options) => {
    const { message } = thrown(() => new LocalBrew(options as never), 'OPTION_INVALID');
    expect(message).toMatch(/^LocalBrew: the options must be an object, as \{ directory: '\/run\/me' \}, not /);
  });

  it('a LocalBrew can be attached to one client only', () => {
    const { brew, host } = local();
    thrown(() => brew.attach(host), 'BREW_IN_USE');
  });
});

describe('a local patron', () => {
  it.each([
    [undefined],
    ['relative/path'],
    ['/a\0b'],
    ['/' + 'x'.repeat(107)],
    [['example.com', 80]],
    [['10.0.0.1', 80]],
    [['127.0.0.1', 0]],
    [['127.0.0.1', '80']],
    [['127.0.0.1', 80, 1]],
    [{}],
  ])('refuses to connect to %j', (sock) => {
    const { brew } = local();
    const details = { name: brew.name, sock };
    const start = () => brew.startPatron({ topic: TOPIC, brewerId: newId(), patronId: newId(), details, receive: () => undefined });
    thrown(start, 'BREW_CONFIG_INVALID');
  });

  it.each(['//evil.example/pipe/name', '\\\\evil.example\\pipe\\name', '\\\\.\\pipe\\..\\UNC\\evil.example\\x', 'C:\\x.sock', '/x.sock'])(
    'refuses, on Windows, to connect to %s, as Windows may log in to other hosts for some paths',
    (sock) => {
      vi.spyOn(process, 'platform', 'get').mockReturnValue('win32');
      later(() => vi.restoreAllMocks());
      const { brew } = local();
      const details = { name: brew.name, sock };
      thrown(() => brew.startPatron({ topic: TOPIC, brewerId: newId(), patronId: newId(), details, receive: () => undefined }), 'BREW_CONFIG_INVALID');
    },
  );
});

it('brewers in two workers of a Node cluster listen on different ports', () => {
  const script = `
    import cluster from 'node:cluster';
    import { LocalBrew } from ${JSON.stringify(new URL('../../dist/brews/local.js', import.meta.url).href)};
    if (cluster.isPrimary) {
      const ports = [];
      cluster.on('message', (_, port) => {
        if (ports.push(port) < 2) return;
        process.stdout.write(JSON.stringify(ports));
        process.exit(0);
      });
      cluster.setupPrimary({ exec: process.argv[1] });
      for (let i = 0; i < 2; i++) cluster.fork();
    } else {
      const brew = new LocalBrew({ transport: 'tcp' });
      brew.attach({ report: console.error });
      const { sock } = await brew.brewerDetails({ topic: 'demo.one', brewerId: '0'.repeat(32) });
      process.send(sock[1]);
    }`;
  const file = join(dirname(directory()), 'cluster.mjs');
  writeFileSync(file, script);
  const { stdout, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8' });
  const [one, other] = JSON.parse(stdout || '[]') as number[];
  expect([one, other], stderr).toEqual([expect.any(Number), expect.any(Number)]);
  expect(one).not.toBe(other);
});
