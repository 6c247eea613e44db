import { human } from './numbers.mjs';

const BEGIN = '<!-- bench: written by `npm run bench -- --readme` -->';
const END = '<!-- /bench -->';

/** The README with a table of these results between its markers. */
export function intoReadme(readme, report) {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`bench: README.md must have the lines ${BEGIN} and ${END}`);
  return `${readme.slice(0, from + BEGIN.length)}\n${table(report)}\n${readme.slice(to)}`;
}

function table({ date, machine, runs, results, skipped }) {
  const rows = results.map(({ title, unit, isOurs, rows: [first, ...others] }) => {
    if (isOurs) return `| ${title.replace(/\*+/g, '`$&`')} | ${[first, ...others].map((row) => `${label(row)}: ${figure(row, unit)}`).join(' · ')} | |`;
    const beside = others.map((row) => `${label(row)} ${figure(row, unit)} (**${row.ratio.toFixed(2)} ×**)`).join(' · ');
    return `| ${title.replace(/\*+/g, '`$&`')} | ${first.label.replace('pubkeeper, ', '')} ${figure(first, unit)} | ${beside} |`;
  });
  const when = `${date.slice(0, 10)}, ${machine}, loopback; medians of ${runs} interleaved runs.`;
  const without = skipped.length ? ` Skipped: ${skipped.join('; ')}.` : '';
  return `${when} In brackets: how many times better Pubkeeper is; below 1 it is worse.${without}\n\n| measure | pubkeeper | beside it |\n| --- | --- | --- |\n${rows.join('\n')}`;
}

const figure = ({ median }, unit) => {
  if (unit === 'µs' && median >= 1000) return `${human(median / 1000)} ms`;
  return `${human(median)}${unit.includes('/s') ? '/s' : ` ${unit}`}`;
};

/** Asterisks are part of patterns here, not Markdown emphasis. */
const label = ({ label: text }) => (text.includes('*') ? `\`${text}\`` : text);
