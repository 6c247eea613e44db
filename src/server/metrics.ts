import type { ClusterStats } from './cluster/cluster.js';
import type { DropReason, ServerStats } from './stats.js';

type Count = Exclude<keyof ServerStats, 'drops' | 'cluster'>;
type Metric = readonly [name: string, type: 'gauge' | 'counter', help: string];

/** What /metrics tells of each count: its name there, whether it only grows, and what it is. */
const METRICS: Readonly<Record<Count, Metric>> = {
  controlConnections: ['control_connections', 'gauge', 'Control connections, authenticated or not.'],
  clients: ['clients', 'gauge', 'Authenticated control connections.'],
  relayConnections: ['relay_connections', 'gauge', 'Relay connections.'],
  brewers: ['brewers', 'gauge', 'Registered brewers.'],
  patrons: ['patrons', 'gauge', 'Registered patrons.'],
  matches: ['matches', 'gauge', 'Pairs of a brewer and a patron; those of two servers are counted by both.'],
  heldNotifications: ['held_notifications', 'gauge', 'Notifications that wait for a patron to join the relay.'],
  bufferedBytes: ['slowest_reader_buffered_bytes', 'gauge', 'Bytes that wait for the slowest reader of the relay.'],
  topics: ['relay_topics', 'gauge', 'Topics that somebody has joined on the relay.'],
  retained: ['retained_values', 'gauge', 'Last values that the relay keeps.'],
  retainedBytes: ['retained_bytes', 'gauge', 'Bytes of last values that the relay keeps.'],
  published: ['published_total', 'counter', 'Frames that the relay received.'],
  delivered: ['delivered_total', 'counter', 'Frames that the relay sent.'],
};

const CLUSTER_METRICS: Readonly<Record<keyof ClusterStats, Metric>> = {
  ready: ['cluster_ready', 'gauge', 'Whether NATS is connected and the registry works: 1 or 0.'],
  servers: ['cluster_servers', 'gauge', 'Other servers that live.'],
  registrations: ['cluster_registrations', 'gauge', 'Patrons and brewers at other servers.'],
  pending: ['cluster_pending_writes', 'gauge', 'Changes that are not in the registry yet.'],
  resyncs: ['cluster_resyncs_total', 'counter', 'How often the whole registry was read.'],
  topics: ['cluster_relay_topics', 'gauge', 'Topics whose frames come from other servers.'],
  sent: ['cluster_frames_sent_total', 'counter', 'Frames sent to the relays of other servers.'],
  received: ['cluster_frames_received_total', 'counter', 'Frames that came from the relays of other servers.'],
  waitingBytes: ['cluster_waiting_bytes', 'gauge', 'Bytes sent to NATS that it has not confirmed; it is asked once per 128 KiB.'],
};

/** Every reason is listed from the start, with 0: Prometheus sees no increase in a counter that appears for the first time. */
const NO_DROPS: Readonly<Record<DropReason, 0>> = {
  'control-packet': 0, 'control-text': 0, 'control-unknown': 0, 'relay-packet': 0, 'relay-frame': 0, 'relay-topic': 0, 'relay-text': 0,
  'too-long': 0, websocket: 0, unauthorized: 0, expired: 0, 'auth-timeout': 0, handshake: 0, silent: 0, 'slow-reader': 0, 'slow-reader-frame': 0,
  'cluster-frame': 0, 'cluster-message': 0, 'cluster-record': 0, 'no-ticket': 0, 'before-auth': 0, connections: 0, registrations: 0,
  'registered-bytes': 0, pairs: 0, brews: 0, nesting: 0, 'joined-topics': 0, 'late-join': 0, 'topic-length': 0, 'topic-segments': 0, 'double-wildcards': 0, 'packet-rate': 0,
  'relay-rate': 0,
};

/** Counts in the text format of Prometheus. */
export function metricsText(stats: ServerStats): string {
  const lines: string[] = [];
  const family = (name: string, type: string, help: string): void =>
    void lines.push(`# HELP pubkeeper_${name} ${help}`, `# TYPE pubkeeper_${name} ${type}`);
  const tell = (metrics: Readonly<Record<string, Metric>>, values: Readonly<Record<string, unknown>>): void => {
    for (const [key, [name, type, help]] of Object.entries(metrics)) {
      family(name, type, help);
      lines.push(`pubkeeper_${name} ${Number(values[key])}`);
    }
  };
  tell(METRICS, { ...stats });
  if (stats.cluster) tell(CLUSTER_METRICS, { ...stats.cluster });
  family('drops_total', 'counter', 'What was dropped, refused or cut, by reason.');
  for (const [reason, count] of Object.entries({ ...NO_DROPS, ...stats.drops })) lines.push(`pubkeeper_drops_total{reason="${reason}"} ${count}`);
  return `${lines.join('\n')}\n`;
}
