import { human } from './numbers.mjs';

const escape = (text) => String(text).replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);

/** The results as an HTML page that needs no other file. */
export function page({ date, machine, runs, results, skipped }) {
  const charts = results.map(({ title, unit, better, rows }) => {
    const most = Math.max(...rows.map(({ max }) => max));
    const bars = rows.map(({ label, min, median, max, ratio }, index) => {
      const y = index * 26;
      const width = (value) => (value / most) * 420;
      return (
        `<text x="0" y="${y + 16}">${escape(label)}</text>` +
        `<rect class="${index ? '' : 'ours'}" x="250" y="${y + 4}" width="${width(median).toFixed(1)}" height="16"/>` +
        `<line x1="${250 + width(min)}" x2="${250 + width(max)}" y1="${y + 12}" y2="${y + 12}"/>` +
        `<text x="685" y="${y + 16}">${human(median)} (${ratio.toFixed(2)} ×)</text>`
      );
    });
    return `<h2>${escape(title)}</h2><p>${escape(unit)}, ${better} is better; the line is from the least to the most of ${runs} runs</p>
<svg viewBox="0 0 820 ${rows.length * 26}" role="img" aria-label="${escape(title)}">${bars.join('')}</svg>`;
  });
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>pubkeeper bench</title>
<style>body{font:15px/1.5 system-ui;max-width:860px;margin:2rem auto;padding:0 1rem;color-scheme:light dark}svg{width:100%}
text{font-size:13px;fill:currentColor}rect{fill:#9aa5b1}rect.ours{fill:#0b7285}line{stroke:currentColor}h2{margin-bottom:0}p{margin-top:0;opacity:.7}</style>
<h1>pubkeeper bench</h1><p>${escape(date)} · ${escape(machine)}</p>${skipped.map((why) => `<p>Skipped: ${escape(why)}</p>`).join('')}${charts.join('\n')}</html>`;
}
