// The dashboard's files: the page, the UMD bundle that it loads by script tag, and uPlot for its charts.
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

/** Copies these files to dist/dashboard/public, which src/dashboard/handler.ts serves. */
export function copyDashboard() {
  const target = join(root, 'dist/dashboard/public');
  const vendor = join(target, 'vendor');
  const uplot = join(root, 'node_modules/uplot');
  mkdirSync(vendor, { recursive: true });
  cpSync(join(root, 'demo/public'), target, { recursive: true, filter: (source) => !source.endsWith('tsconfig.json') });

  const bundle = join(root, 'dist/pubkeeper.umd.min.js');
  if (existsSync(bundle)) {
    // Without the comment that names the source map: the map is not copied, and developer tools would get a 404.
    const code = readFileSync(bundle, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
    writeFileSync(join(vendor, 'pubkeeper.umd.min.js'), code);
  }
  cpSync(join(uplot, 'dist/uPlot.iife.min.js'), join(vendor, 'uplot.iife.min.js'));
  cpSync(join(uplot, 'dist/uPlot.min.css'), join(vendor, 'uplot.min.css'));
  cpSync(join(uplot, 'LICENSE'), join(vendor, 'uplot-LICENSE.txt'));
}
