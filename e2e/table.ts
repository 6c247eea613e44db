// The table that an end-to-end run prints: the result of each case in each engine.

/** Results of cases (rows) in engines (columns). */
export class ResultTable {
  readonly #title: string;
  readonly #columns: string[] = [];
  readonly #rows = new Map<string, Map<string, string>>();

  constructor(title: string) {
    this.#title = title;
  }

  set(row: string, column: string, result: string): void {
    if (!this.#columns.includes(column)) this.#columns.push(column);
    const cells = this.#rows.get(row) ?? new Map<string, string>();
    this.#rows.set(row, cells.set(column, result));
  }

  toString(): string {
    const lines = [
      [this.#title, ...this.#columns],
      ...[...this.#rows].map(([row, cells]) => [row, ...this.#columns.map((column) => cells.get(column) ?? '')]),
    ];
    const widths = lines[0]!.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)));
    const format = (line: string[]): string => `| ${line.map((cell, at) => cell.padEnd(widths[at]!)).join(' | ')} |`;
    const rule = format(widths.map((width) => '-'.repeat(width)));
    return [format(lines[0]!), rule, ...lines.slice(1).map(format)].join('\n');
  }
}
