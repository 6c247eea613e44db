// `npm start`: sets up what is missing, then hands the terminal to the demo. `npm run demo:cluster`: to the demo of a cluster.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError, ensureBuild, ensureDependencies, main, root } from './setup.mjs';

await main(async () => {
  await ensureDependencies();
  await ensureBuild();

  const isCluster = process.argv[2] === 'cluster';
  const name = isCluster ? 'demo/cluster.mjs' : 'demo/start.mjs';
  const demo = join(root, name);
  if (!existsSync(demo)) throw new SetupError(`The demo is missing: there is no ${name}.`);
  const child = spawn(process.execPath, [demo, ...process.argv.slice(isCluster ? 3 : 2)], { cwd: root, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the whole process group: the demo has it already, and may take a second one as "end at once".
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  // npm passes SIGTERM on to a shell, which ends without passing it on: so notice the parent's end.
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event) setInterval(() => process.ppid === parent || child.kill('SIGTERM'), 500).unref();
  child.on('error', (error) => {
    console.error(`pubkeeper: The demo could not be started: ${error.message}.`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
});
