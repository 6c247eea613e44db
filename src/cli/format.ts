import type { Message } from '../index.js';
import { escapeUnprintable, isPrintable } from './tell.js';

/** How a patron prints messages. */
export type Format = 'human' | 'json' | 'raw' | 'lines';

// A byte order mark is part of the data: it is kept.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The data as text; undefined when it is not UTF-8. */
export function asText(data: Uint8Array): string | undefined {
  try {
    return decoder.decode(data);
  } catch {
    return undefined;
  }
}

const base64 = (data: Uint8Array): string => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');

/** The data on one line: text as it is, text that would break the line or the terminal as a JSON string, else base64. */
export function showData(data: Uint8Array): string {
  const text = asText(data);
  if (text === undefined) return `base64:${base64(data)}`;
  return isPrintable(text) ? text : escapeUnprintable(JSON.stringify(text));
}

/** `HH:MM:SS.mmm` of the local time zone. */
export function showTime(time: Date): string {
  const pad = (value: number, length = 2): string => String(value).padStart(length, '0');
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}.${pad(time.getMilliseconds(), 3)}`;
}

/** Returns a function that turns a message into what goes to stdout. */
export function formatter(format: Format, colour: boolean): (message: Message, time: Date) => string | Uint8Array {
  if (format === 'raw') return ({ data }) => data;
  if (format === 'lines') return ({ data }) => Buffer.concat([data, Buffer.from('\n')]);
  // The same JSON with further escapes: JSON.stringify leaves characters as they are that must not reach a terminal.
  if (format === 'json') return (message, time) => `${escapeUnprintable(JSON.stringify(record(message, time)))}\n`;
  const [cyan, dim, plain] = colour ? ['\u001b[36m', '\u001b[2m', '\u001b[0m'] : ['', '', ''];
  return ({ topic, data }, time) => `${cyan}${topic}${plain}  ${dim}${showTime(time)}${plain}  ${showData(data)}\n`;
}

function record({ topic, brewerId, data, retained, sequence }: Message, time: Date): Record<string, unknown> {
  const text = asText(data);
  const content = text === undefined ? { base64: base64(data) } : { data: text };
  // JSON leaves out what is undefined.
  return { topic, time: time.toISOString(), brewerId, ...content, retained, sequence };
}

/** Whether to colour what goes to a stream: only on a terminal, and not where https://no-color.org says no. */
export const wantsColour = (stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean =>
  stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
