import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, linkSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { type BrewDetails, newId } from '../../src/core/index.js';
import { rawFrame } from '../helpers.js';
import { directory, later, local } from './local-kit.js';
import { pair, receiver, TOPIC } from './rig.js';

// The socket files of local brewers, and their directory.

/** Makes a socket file at which nobody listens, as a killed process leaves it. */
function leaveStale(path: string): void {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  expect(spawnSync(process.execPath, ['-e', script]).signal).toBe('SIGKILL');
  expect(existsSync(path)).toBe(true);
}

describe('socket files', () => {
  it('are in a directory that only the user can access, and are removed when the brewer ends or the brew is closed', async () => {
    const dir = directory();
    const { brew } = local({ directory: dir });
    const [one, two] = [newId(), newId()];
    await brew.brewerDetails({ topic: TOPIC, brewerId: one });
    await brew.brewerDetails({ topic: TOPIC, brewerId: two });
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dir).sort()).toEqual([`${one}.sock`, `${two}.sock`].sort());
    brew.endBrewer(one);
    await vi.waitFor(() => expect(readdirSync(dir)).toEqual([`${two}.sock`]));
    await brew.close();
    expect(readdirSync(dir)).toEqual([]);
  });

  it.each([
    ['XDG_RUNTIME_DIR', (dir: string) => join(dir, 'pubkeeper')],
    ['TMPDIR', (dir: string) => join(dir, `pubkeeper-${process.getuid!()}`)],
  ])('have an absolute path, also if %s is relative', async (name, expected) => {
    const dir = dirname(directory());
    const env = { XDG_RUNTIME_DIR: '', TMPDIR: dir };
    for (const [key, value] of Object.entries({ ...env, [name]: dir })) vi.stubEnv(key, value);
    later(() => vi.unstubAllEnvs());
    const path = async (): Promise<string> => {
      const details = (await local().brew.brewerDetails({ topic: TOPIC, brewerId: newId() }))!;
      return dirname(details.sock as string);
    };
    expect(await path()).toBe(expected(dir));
    vi.stubEnv(name, relative(process.cwd(), dir));
    expect(await path()).toBe(join(dir, `pubkeeper-${process.getuid!()}`));
  });

  it('are in a directory that each new brew closes to other users, also if its mode was changed', async () => {
    const dir = directory();
    await local({ directory: dir }).brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    for (const mode of [0o777, 0o750, 0o706]) {
      chmodSync(dir, mode);
      await local({ directory: dir }).brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
      expect(statSync(dir).mode & 0o777).toBe(0o700);
    }
  });

  it.skipIf(process.getuid?.() !== 0)("are not made in another user's directory, which stays as it is", async () => {
    const dir = directory();
    mkdirSync(dir, { mode: 0o755 });
    chownSync(dir, 1234, 0);
    const { brew, errors } = local({ directory: dir });
    expect(await brew.brewerDetails({ topic: TOPIC, brewerId: newId() })).toBeUndefined();
    expect(errors[0]).toMatchObject({ code: 'BREW_FAILED', message: expect.stringContaining('it is not a directory of this user') });
    expect([statSync(dir).mode & 0o777, readdirSync(dir)]).toEqual([0o755, []]);
  });

  it('are made by several clients that make their directory, and those above it, at the same time', async () => {
    const dir = join(directory(), 'and', 'more');
    const brews = Array.from({ length: 8 }, () => local({ directory: dir }));
    const made = await Promise.all(brews.map(({ brew }) => brew.brewerDetails({ topic: TOPIC, brewerId: newId() })));
    expect(brews.flatMap(({ errors }) => errors)).toEqual([]);
    expect(made).not.toContain(undefined);
    expect(statSync(dirname(dir)).mode & 0o777).toBe(0o700);
  });

  it('may have a path as long as the system allows, and a longer one is refused', async () => {
    const most = process.platform === 'linux' ? 107 : 103;
    const room = (length: number): string => {
      const dir = directory();
      return join(dir, 'x'.repeat(length - join(dir, '/', `${newId()}.sock`).length - 1));
    };
    const [fits, long] = [local({ directory: room(most) }), local({ directory: room(most + 1) })];
    const details = await fits.brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    expect([Buffer.byteLength(String(details?.sock)), fits.errors]).toEqual([most, []]);
    expect(await long.brew.brewerDetails({ topic: TOPIC, brewerId: newId() })).toBeUndefined();
    expect(long.errors[0]).toMatchObject({ code: 'BREW_FAILED', message: expect.stringContaining('is too long for a Unix socket') });
  });

  it('are not made in a directory that all users share, and its mode does not change', async () => {
    const dir = directory();
    mkdirSync(dir);
    chmodSync(dir, 0o1777);
    const { brew, errors } = local({ directory: dir });
    expect(await brew.brewerDetails({ topic: TOPIC, brewerId: newId() })).toBeUndefined();
    expect(errors[0]).toMatchObject({ code: 'BREW_FAILED', message: expect.stringContaining('is for all users, as /tmp is') });
    expect(statSync(dir).mode & 0o7777).toBe(0o1777);
  });

  it('are made in a new directory at the same path if the former one was removed', async () => {
    const dir = directory();
    const writer = local({ directory: dir });
    await writer.brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    rmSync(dir, { recursive: true });
    const box = await pair(writer.brew, local({ directory: dir }).brew);
    void box.say('here');
    expect(await box.next()).toBe('here');
    expect(statSync(dir).mode & 0o777).toBe(0o700);
  });

  it('replace a stale file of the same brewer, and old stale files of other brewers are removed', async () => {
    const dir = directory();
    const { brew } = local({ directory: dir });
    await brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    await brew.close();
    const [mine, young, old] = [newId(), newId(), newId()];
    for (const id of [mine, young, old]) leaveStale(join(dir, `${id}.sock`));
    const past = Date.now() / 1000 - 60;
    utimesSync(join(dir, `${old}.sock`), past, past);
    // Nothing else is removed: neither what is no socket, nor another program's socket.
    writeFileSync(join(dir, 'file.sock'), '');
    leaveStale(join(dir, 'socket'));
    for (const name of ['file.sock', 'socket']) utimesSync(join(dir, name), past, past);
    const writer = local({ directory: dir });
    expect(await writer.brew.brewerDetails({ topic: TOPIC, brewerId: mine })).toBeDefined();
    expect(readdirSync(dir).sort()).toEqual([`${mine}.sock`, `${young}.sock`, 'file.sock', 'socket'].sort());
    const box = await pair(writer.brew, local({ directory: dir }).brew, mine);
    void box.say('alive');
    expect(await box.next()).toBe('alive');
  });

  it('exist after brewers are removed and added again before they listen, also if killed processes have left files at their paths', async () => {
    const dir = directory();
    const { brew, errors } = local({ directory: dir });
    await brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    const left = join(dirname(dir), 'left');
    leaveStale(left);
    const ids = Array.from({ length: 200 }, newId);
    for (const id of ids) linkSync(left, join(dir, `${id}.sock`));
    const all: (BrewDetails | undefined)[] = [];
    for (const [index, brewerId] of ids.entries()) {
      const removed = brew.brewerDetails({ topic: TOPIC, brewerId });
      // The end and the new start collide only within a few turns: try each of 20 offsets.
      for (let steps = index % 20; steps; steps--) await Promise.resolve();
      brew.endBrewer(brewerId);
      all.push(...(await Promise.all([removed, brew.brewerDetails({ topic: TOPIC, brewerId })])));
    }
    expect(errors).toEqual([]);
    expect(all.map((one) => existsSync(one!.sock as string))).not.toContain(false);
  });

  it('are not made where something else exists, which stays and is named in the error', async () => {
    const dir = directory();
    const { brew, errors } = local({ directory: dir });
    await brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    const brewerId = newId();
    const path = join(dir, `${brewerId}.sock`);
    mkdirSync(path);
    expect(await brew.brewerDetails({ topic: TOPIC, brewerId })).toBeUndefined();
    expect(errors.map(({ code, message }) => [code, message])).toEqual([['BREW_FAILED', `A LocalBrew cannot listen at "${path}" (EADDRINUSE): remove what is there.`]]);
    expect(existsSync(path)).toBe(true);
  });

  it('are left alone while a brewer listens: a second brewer with the same id is registered without this brew', async () => {
    const dir = directory();
    const brewerId = newId();
    const first = local({ directory: dir });
    await first.brew.brewerDetails({ topic: TOPIC, brewerId });
    const other = local({ directory: dir });
    expect(await other.brew.brewerDetails({ topic: TOPIC, brewerId })).toBeUndefined();
    expect(other.errors[0]).toMatchObject({ code: 'BREW_FAILED', message: expect.stringContaining('Another process brews at') });
    const box = await pair(first.brew, local({ directory: dir }).brew, brewerId);
    void box.say('still');
    expect(await box.next()).toBe('still');
  });

  it.skipIf(process.platform !== 'linux')('are not probed while a brewer listens, as it would take the probe for the patron that it expects', async () => {
    const dir = directory();
    const [writer, reader] = [local({ directory: dir }), local({ directory: dir })];
    const brewerId = newId();
    const details = (await writer.brew.brewerDetails({ topic: TOPIC, brewerId }))!;
    const past = Date.now() / 1000 - 60;
    utimesSync(details.sock as string, past, past);
    const pairOf = { topic: TOPIC, brewerId, patronId: newId(), details };
    writer.brew.startBrewer(pairOf);
    for (const text of ['one', 'two']) void writer.brew.brew(brewerId, rawFrame(TOPIC, brewerId, text));
    await local({ directory: dir }).brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    const box = receiver();
    reader.brew.startPatron({ ...pairOf, receive: box.receive });
    expect(await box.take(2)).toEqual(['one', 'two']);
  });

  it.each([
    ['', ''],
    [', also after a brewer was removed and added again while a patron was connected', `
      const { once } = await import('node:events');
      brew.startBrewer({ ...brewer, patronId: '1'.repeat(32), details });
      const accepted = brew.brew(brewer.brewerId, new Uint8Array(88));
      const patron = (await import('node:net')).connect(details.sock).resume();
      await accepted;
      const closed = once(patron, 'close');
      brew.endBrewer(brewer.brewerId);
      details = await brew.brewerDetails(brewer);
      await closed;
      await new Promise((resolve) => setImmediate(resolve));`],
  ])('are removed when the process exits by itself%s', async (_, before) => {
    const dir = directory();
    const script = `
      import { LocalBrew } from ${JSON.stringify(new URL('../../dist/brews/local.js', import.meta.url).href)};
      const brew = new LocalBrew({ directory: ${JSON.stringify(dir)} });
      brew.attach({ report: console.error });
      const brewer = { topic: 'demo.one', brewerId: '0'.repeat(32) };
      let details = await brew.brewerDetails(brewer);${before}
      process.stdout.write(String((await import('node:fs')).existsSync(details.sock)));
      process.exit(0);`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(stdout, stderr).toBe('true');
    expect(readdirSync(dir)).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')('are neither made nor connected to when no file descriptor is left, and the errors say so', () => {
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { LocalBrew } from ${JSON.stringify(new URL('../../dist/brews/local.js', import.meta.url).href)};
      const errors = [];
      let told;
      const brew = new LocalBrew({ directory: ${JSON.stringify(directory())} });
      brew.attach({ reconnect: { delayMs: 1, maxDelayMs: 1, stableMs: 1000 }, report: (error) => (errors.push(error), told?.()) });
      const [first, second] = ['0', '1'].map((digit) => ({ topic: 'demo.one', brewerId: digit.repeat(32), patronId: '2'.repeat(32) }));
      const details = await brew.brewerDetails(first);
      const open = [];
      try { for (;;) open.push(openSync('/dev/null')); } catch (error) { console.log(error.code); }
      await brew.brewerDetails(second);
      const down = new Promise((resolve) => (told = resolve));
      brew.startPatron({ ...first, details, receive: () => undefined });
      await down;
      open.forEach((one) => closeSync(one));
      for (const { code, message } of errors) console.log(code, message.replace(/\\S+sock/, 'x'));
      process.exit();`;
    const { stdout, stderr } = spawnSync('sh', ['-c', 'ulimit -n 80; exec "$0" --input-type=module -e "$1"', process.execPath, script], { encoding: 'utf8', timeout: 20_000 });
    expect([...stdout.trim().split('\n'), stderr]).toEqual([
      'EMFILE',
      expect.stringMatching(/^BREW_FAILED A LocalBrew cannot listen at "?x"? \(EMFILE\): no file descriptor is left: let this process open more files\.$/),
      'CONNECT_FAILED Cannot read the local brewer at x (EMFILE: no file descriptor is left: let this process open more files).',
      '',
    ]);
  });

  it('of brewers that have ended are not removed when the process exits, as another process may listen there by then', () => {
    const dir = directory();
    const script = `
      import { existsSync, writeFileSync } from 'node:fs';
      import { LocalBrew } from ${JSON.stringify(new URL('../../dist/brews/local.js', import.meta.url).href)};
      const brew = new LocalBrew({ directory: ${JSON.stringify(dir)} });
      brew.attach({ report: console.error });
      const { sock } = await brew.brewerDetails({ topic: 'demo.one', brewerId: '0'.repeat(32) });
      await brew.close();
      process.stdout.write(String(existsSync(sock)));
      writeFileSync(sock, '');
      process.exit(0);`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(stdout, stderr).toBe('false');
    expect(readdirSync(dir)).toEqual([`${'0'.repeat(32)}.sock`]);
  });

  it.each([
    ['a link to another directory', () => directory(), (dir: string) => symlinkSync(tmpdir(), dir), 'is not a directory'],
    ['a link whose target is missing', () => directory(), (dir: string) => symlinkSync(join(dir, 'nothing'), dir), 'is not a directory'],
    ['a file', () => directory(), (dir: string) => writeFileSync(dir, ''), 'is not a directory'],
    ['a directory below a file', () => join(directory(), 'below'), (dir: string) => writeFileSync(dirname(dir), ''), 'ENOTDIR'],
    ['a file system in which users cannot make directories', () => (process.platform === 'linux' ? '/proc/pubkeeper/sockets' : '/dev/null/sockets'), () => undefined, /ENOENT|ENOTDIR/],
    ['a directory whose path is too long', () => join(directory(), 'x'.repeat(100)), () => undefined, 'too long'],
  ])('are not made in %s', async (_, where, make, words) => {
    const dir = where();
    make(dir);
    const { brew, errors } = local({ directory: dir });
    expect(await brew.brewerDetails({ topic: TOPIC, brewerId: newId() })).toBeUndefined();
    expect(errors[0]?.code).toBe('BREW_FAILED');
    expect(errors[0]?.message).toMatch(words);
  });
});
