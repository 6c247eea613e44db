import type { ServerStats } from './stats.js';

type Count = Exclude<keyof ServerStats, 'drops'>;

/** What /metrics tells of each count: its name there, whether it only grows, and what it is. */
const METRICS: Readonly<Record<Count, readonly [name: string, type: 'gauge' | 'counter', help: string]>> = {
  controlConnections: ['control_connections', 'gauge', 'Control connections, authenticated or not.'],
  clients: ['clients', 'gauge', 'Authenticated control connections.'],
  relayConnections: ['relay_connections', 'gauge', 'Relay connections.'],
  brewers: ['brewers', 'gauge', 'Registered brewers.'],
  patrons: ['patrons', 'gauge', 'Registered patrons.'],
  matches: ['matches', 'gauge', 'Pairs of a brewer and a patron.'],
  heldNotifications: ['held_notifications', 'gauge', 'Notifications that wait for a patron to join the relay.'],
  bufferedBytes: ['slowest_reader_buffered_bytes', 'gauge', 'Bytes that wait for the slowest reader of the relay.'],
  topics: ['relay_topics', 'gauge', 'Topics that somebody has joined on the relay.'],
  retained: ['retained_values', 'gauge', 'Last values that the relay keeps.'],
  retainedBytes: ['retained_bytes', 'gauge', 'Bytes of last values that the relay keeps.'],
  published: ['published_total', 'counter', 'Frames that the relay took.'],
  delivered: ['delivered_total', 'counter', 'Frames that the relay gave.'],
};

/** Counts in the text format of Prometheus. */
export function metricsText(stats: ServerStats): string {
  const lines: string[] = [];
  const family = (name: string, type: string, help: string): void =>
    void lines.push(`# HELP pubkeeper_${name} ${help}`, `# TYPE pubkeeper_${name} ${type}`);
  for (const [key, [name, type, help]] of Object.entries(METRICS)) {
    family(name, type, help);
    lines.push(`pubkeeper_${name} ${stats[key as Count]}`);
  }
  family('drops_total', 'counter', 'What was dropped, refused or cut, by reason.');
  for (const [reason, count] of Object.entries(stats.drops)) lines.push(`pubkeeper_drops_total{reason="${reason}"} ${count}`);
  return `${lines.join('\n')}\n`;
}
