// The messages that have come, by topic: counts, rates and the last messages. Everything in here is bounded. Uses no DOM.

export const LIMITS = {
  topics: 5000,
  /** How many messages of one topic are kept. */
  history: 200,
  /** How many bytes of one payload, and of one frame, are kept: longer ones are shown in part. */
  payload: 64 * 1024,
  /** How many bytes a message counts beside its payload and its frame: about what its objects take. */
  entry: 400,
  /** How many bytes are kept in all. */
  bytes: 128 * 1024 * 1024,
  /** How many levels the tree has: the last one holds all further segments together. */
  depth: 24,
};

/** Rates are taken over this many samples, of a second each. */
const WINDOW = 5;

/**
 * @typedef {object} Entry one message
 * @property {number} at when it came, in ms since 1970
 * @property {Uint8Array} data the payload, or its beginning
 * @property {number} length of the whole payload
 * @property {Uint8Array | undefined} frame the frame that carried it, or its beginning
 * @property {number} frameLength
 * @property {string} cipher
 * @property {string} brewerId
 * @property {number | undefined} sequence
 * @property {boolean} retained
 */

/** A node of the tree: a topic, or the common beginning of several topics, or both. */
export class TopicNode {
  static #ids = 0;
  id = TopicNode.#ids++;
  /** @type {Map<string, TopicNode>} */
  children = new Map();
  /** @type {TopicNode[] | undefined} */
  #sorted;
  /** @type {boolean | undefined} */
  expanded;
  count = 0;
  /** How many of them count for rates: not last values, which were brewed some time ago. */
  live = 0;
  rate = 0;
  /** The messages of this topic itself, oldest first; empty if this is not a topic. @type {Entry[]} */
  history = [];
  /** How many messages have come on this topic itself. */
  messages = 0;
  bytes = 0;
  isTopic = false;
  /** @type {{ live: number, at: number }[]} */
  #samples;

  /**
   * @param {string} name @param {string} path @param {TopicNode | undefined} parent @param {number} depth @param {number} now
   * @param {number} live 1 when the node is made for a live message: that begins the first sample, and does not count for its rate
   */
  constructor(name, path, parent, depth, now, live) {
    this.name = name;
    this.path = path;
    this.parent = parent;
    this.depth = depth;
    this.#samples = [{ live, at: now }];
  }

  /** @param {string} name @param {TopicNode} node */
  add(name, node) {
    this.children.set(name, node);
    // Sorting thousands of names anew for each one that comes would take too long.
    this.#sorted?.splice(placeOf(this.#sorted, name), 0, node);
  }

  /** @param {TopicNode} node */
  remove(node) {
    this.children.delete(node.name);
    this.#sorted?.splice(this.#sorted.indexOf(node), 1);
  }

  /** @returns {readonly TopicNode[]} */
  get sorted() {
    return (this.#sorted ??= [...this.children.values()].sort((a, b) => order.compare(a.name, b.name)));
  }

  /** @returns {Entry | undefined} */
  get latest() {
    return this.history.at(-1);
  }

  /** @param {number} now */
  sample(now) {
    // The clock was set back: earlier samples cannot be compared with this time.
    if (now < (this.#samples.at(-1)?.at ?? now)) this.#samples = [{ live: this.live, at: now }];
    const oldest = /** @type {{ live: number, at: number }} */ (this.#samples[0]);
    this.rate = (this.live - oldest.live) / Math.max(1, (now - oldest.at) / 1000);
    this.#samples.push({ live: this.live, at: now });
    if (this.#samples.length > WINDOW) this.#samples.shift();
  }
}

/** Whether a last value equals the latest message: a page that connects again gets it again. @param {Entry} latest @param {Omit<Entry, 'at'>} message */
function isSame(latest, { brewerId, sequence, data, length }) {
  if (sequence === undefined || latest.brewerId !== brewerId || latest.sequence !== sequence || latest.length !== length) return false;
  return latest.data.every((byte, index) => byte === data[index]);
}

const order = new Intl.Collator('en', { numeric: true });

/** Where a name belongs. @param {readonly TopicNode[]} sorted @param {string} name */
function placeOf(sorted, name) {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (order.compare(/** @type {TopicNode} */ (sorted[middle]).name, name) <= 0) from = middle + 1;
    else to = middle;
  }
  return from;
}

export class Store {
  root = new TopicNode('', '', undefined, -1, Date.now(), 0);
  /** By whole topic; topics that have been silent longest come first. @type {Map<string, TopicNode>} */
  topics = new Map();
  /** @type {Set<TopicNode>} */
  #nodes = new Set([this.root]);
  /** Changes with the shape of the tree. */
  version = 0;
  bytes = 0;
  /** How often a topic was dropped to make room for another. */
  dropped = 0;
  #sampledAt = 0;
  /** The frame that came last, and its copy. @type {{ source?: Uint8Array | undefined, copy?: Uint8Array | undefined }} */
  #frame = {};
  #keeps;

  /** @param {(node: TopicNode) => boolean} [keeps] whether a topic must not be dropped */
  constructor(keeps = () => false) {
    this.#keeps = keeps;
  }

  /** @param {string} topic @param {Omit<Entry, 'at'>} message @param {number} [at] */
  add(topic, message, at = Date.now()) {
    const known = this.topics.get(topic);
    if (message.retained && known?.latest && isSame(known.latest, message)) return;
    if (!known && this.topics.size >= LIMITS.topics) this.#drop();
    const live = message.retained ? 0 : 1;
    const node = known ?? this.#open(topic, at, live);
    if (known) {
      // Move it to the end of the topics that may be dropped.
      this.topics.delete(topic);
      this.topics.set(topic, known);
    }
    node.messages += 1;
    node.bytes += message.length;
    /** @type {TopicNode | undefined} */
    let up = node;
    for (; up; up = up.parent) {
      up.count += 1;
      up.live += live;
    }
    // Copy them: they may be views of a much larger buffer.
    const data = message.data.slice(0, LIMITS.payload);
    // Messages that were sealed together came in one frame, of which one copy is enough.
    const isShared = message.frame === this.#frame.source && node.latest !== undefined && node.latest.frame === this.#frame.copy;
    const frame = isShared ? this.#frame.copy : message.frame?.slice(0, LIMITS.payload);
    this.#frame = { source: message.frame, copy: frame };
    node.history.push({ ...message, at, data, frame });
    this.bytes += LIMITS.entry + data.length + (isShared ? 0 : (frame?.length ?? 0));
    if (node.history.length > LIMITS.history) this.#shift(node);
    if (this.bytes > LIMITS.bytes) this.#shrink();
  }

  /** Computes rates, at most once a second. @param {number} [now] @returns {boolean} whether it did */
  sample(now = Date.now()) {
    // If the clock was set back, go on at once: otherwise rates would stop until it has caught up.
    if (now >= this.#sampledAt && now - this.#sampledAt < 1000) return false;
    this.#sampledAt = now;
    for (const node of this.#nodes) node.sample(now);
    return true;
  }

  /** @param {string} topic @param {number} now @param {number} live whether it is for a live message, as 1 or 0 */
  #open(topic, now, live) {
    const segments = topic.split('.');
    if (segments.length > LIMITS.depth) segments.push(segments.splice(LIMITS.depth - 1).join('.'));
    let node = this.root;
    for (const [depth, name] of segments.entries()) {
      let next = node.children.get(name);
      if (!next) {
        next = new TopicNode(name, node === this.root ? name : `${node.path}.${name}`, node, depth, now, live);
        node.add(name, next);
        this.#nodes.add(next);
      }
      node = next;
    }
    node.isTopic = true;
    this.topics.set(topic, node);
    this.version += 1;
    return node;
  }

  /** Forgets the topic that has been silent longest, and nodes above it that have nothing else below them. */
  #drop() {
    for (const node of this.topics.values()) {
      if (this.#keeps(node)) continue;
      this.topics.delete(node.path);
      this.dropped += 1;
      this.version += 1;
      node.isTopic = false;
      while (node.history.length > 0) this.#shift(node);
      for (let at = node; at.parent && !at.isTopic && at.children.size === 0; at = at.parent) {
        at.parent.remove(at);
        this.#nodes.delete(at);
      }
      return;
    }
  }

  /** @param {TopicNode} node */
  #shift(node) {
    const entry = node.history.shift();
    if (!entry) return;
    const isShared = entry.frame === node.history[0]?.frame;
    this.bytes -= LIMITS.entry + entry.data.length + (isShared ? 0 : (entry.frame?.length ?? 0));
  }

  /** Forgets the older half of every history, again and again, until a quarter of the room is free. */
  #shrink() {
    const goal = LIMITS.bytes * 0.75;
    while (this.bytes > goal) {
      const before = this.bytes;
      for (const node of this.topics.values()) {
        const keep = Math.max(1, node.history.length >> 1);
        while (node.history.length > keep) this.#shift(node);
      }
      if (this.bytes === before) break;
    }
    // Each topic has only its latest message left, and there are still too many bytes: forget those that are oldest.
    for (const node of [...this.topics.values()].sort((a, b) => (a.latest?.at ?? 0) - (b.latest?.at ?? 0))) {
      if (this.bytes <= goal) return;
      this.#shift(node);
    }
  }
}
