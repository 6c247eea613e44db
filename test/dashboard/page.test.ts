import { describe, expect, it, vi } from 'vitest';
import { checkInput, completeServer, explain, ownServer } from '../../demo/public/js/explain.js';
import { formatAge, formatBytes, formatDay, formatDuration, formatLimit, formatRate } from '../../demo/public/js/format.js';
import { FrameLoop } from '../../demo/public/js/frame-loop.js';
import { Arrivals } from '../../demo/public/js/pairs.js';
import { Sockets } from '../../demo/public/js/sockets.js';
import { LIMITS, Store } from '../../demo/public/js/store.js';
import { isTopicPattern } from '../../src/index.js';
import { bytes, entry } from './kit.js';

describe('the store', () => {
  it('counts a message for its topic and every level above', () => {
    const store = new Store();
    store.add('a.b', entry(bytes('1')));
    store.add('a.c', entry(bytes('2')));
    store.add('a', entry(bytes('3')));
    expect(store.root.count).toBe(3);
    expect(store.root.children.get('a')).toMatchObject({ count: 3, messages: 1, isTopic: true });
    expect(store.topics.get('a.b')).toMatchObject({ count: 1, messages: 1, depth: 1, path: 'a.b' });
  });

  it('treats __proto__ and constructor as ordinary names', () => {
    const store = new Store();
    const before = Reflect.ownKeys(Object.prototype);
    for (const topic of ['__proto__.constructor', 'constructor', 'a.__proto__']) store.add(topic, entry(bytes('1')));
    expect([...store.root.children.keys()]).toEqual(['__proto__', 'constructor', 'a']);
    for (const topic of ['__proto__.constructor', 'constructor', 'a.__proto__']) expect(store.topics.get(topic)).toMatchObject({ path: topic, messages: 1 });
    expect(Reflect.ownKeys(Object.prototype)).toEqual(before);
  });

  it('limits the messages of a topic, the topics and the levels', () => {
    const store = new Store();
    for (let i = 0; i < LIMITS.history + 50; i++) store.add('busy', entry(bytes(String(i))));
    expect(store.topics.get('busy')?.history).toHaveLength(LIMITS.history);
    expect(store.topics.get('busy')?.messages).toBe(LIMITS.history + 50);
    for (let i = 0; i < LIMITS.topics + 10; i++) store.add(`many.t${i}`, entry(bytes('x')));
    expect(store.topics.size).toBe(LIMITS.topics);
    expect(store.dropped).toBe(11);
    expect(store.root.count).toBe(LIMITS.history + 50 + LIMITS.topics + 10);
    const deep = new Store();
    deep.add(Array(5000).fill('d').join('.'), entry(bytes('x')));
    let levels = 0;
    for (let node = deep.root.children.get('d'); node; node = node.sorted[0]) levels++;
    expect(levels).toBe(LIMITS.depth);
  });

  it('drops the topics that have been silent longest, except a topic that is shown', () => {
    let kept = '';
    const store = new Store((node) => node.path === kept);
    for (let i = 0; i < LIMITS.topics; i++) store.add(`t${i}.leaf`, entry(bytes('x')));
    kept = 't1.leaf';
    store.add('t0.leaf', entry(bytes('x')));
    store.add('new', entry(bytes('x')));
    store.add('t2', entry(bytes('x')));
    expect(['t0.leaf', 't1.leaf', 't2.leaf', 't3.leaf', 't4.leaf', 'new', 't2'].filter((topic) => store.topics.has(topic))).toEqual(['t0.leaf', 't1.leaf', 't4.leaf', 'new', 't2']);
    // Empty levels are removed too, so that the tree stays small.
    expect(store.root.children.has('t3')).toBe(false);
    expect(store.root.children.get('t2')).toMatchObject({ isTopic: true, count: 1 });
    expect(store.bytes).toBe((LIMITS.topics + 1) * (1 + LIMITS.entry));
    expect(store.root.count).toBe(LIMITS.topics + 3);
    store.add('t3.leaf', entry(bytes('x')));
    expect(store.topics.get('t3.leaf')).toMatchObject({ messages: 1 });
  });

  it('does not count a last value that it has already', () => {
    const store = new Store();
    store.add('a', entry(bytes('1')));
    store.add('a', { ...entry(bytes('1')), retained: true });
    expect(store.root.count).toBe(1);
    store.add('a', { ...entry(bytes('2')), retained: true });
    store.add('a', { ...entry(bytes('2')), sequence: 1, retained: true });
    expect(store.root.count).toBe(3);
  });

  it('limits its bytes, and keeps at least one message of each topic as long as possible', () => {
    const store = new Store();
    const big = new Uint8Array(LIMITS.payload * 2);
    for (let i = 0; i < 3000; i++) {
      store.add(`t${i % 100}`, entry(big));
      expect(store.bytes).toBeLessThanOrEqual(LIMITS.bytes);
    }
    const all = [...store.topics.values()];
    expect(all.every(({ history }) => history.length > 0)).toBe(true);
    expect(store.bytes).toBe(all.flatMap(({ history }) => history).reduce((sum, { data }) => sum + data.length + LIMITS.entry, 0));
    for (let i = 0; i < LIMITS.topics; i++) store.add(`u${i}`, entry(big));
    expect(store.bytes).toBeLessThanOrEqual(LIMITS.bytes);
  });

  it('copies messages, as they may be views into a large buffer', () => {
    const store = new Store();
    store.add('a', entry(new Uint8Array(1_000_000).subarray(5, 8)));
    expect(store.topics.get('a')?.latest?.data.buffer.byteLength).toBe(3);
  });

  it('keeps one copy of a frame that has brought several messages, and counts it as long as one of them is kept', () => {
    const store = new Store();
    const [frame, other] = [new Uint8Array(500), new Uint8Array(100)];
    const weight = (messages: number, frames: number) => messages * (LIMITS.entry + 1) + frames;
    for (let i = 0; i < LIMITS.history; i++) store.add('a', { ...entry(bytes('x')), frame });
    expect(store.bytes).toBe(weight(LIMITS.history, frame.length));
    expect(new Set(store.topics.get('a')?.history.map((message) => message.frame)).size).toBe(1);
    expect(store.topics.get('a')?.latest?.frame).not.toBe(frame);
    for (let i = 1; i <= LIMITS.history; i++) {
      store.add('a', { ...entry(bytes('x')), frame: other });
      expect(store.bytes).toBe(weight(LIMITS.history, other.length + (i < LIMITS.history ? frame.length : 0)));
    }
    // Another topic has a copy of its own: the two are not forgotten together.
    store.add('b', { ...entry(bytes('x')), frame: other });
    expect(store.bytes).toBe(weight(LIMITS.history + 1, 2 * other.length));
  });

  it('has topics in order, however they come and go', () => {
    const store = new Store();
    const names = () => store.root.sorted.map(({ name }) => name);
    for (const topic of ['t10', 't9', 'b', 'é']) store.add(topic, entry(bytes('x')));
    expect(names()).toEqual(['b', 'é', 't9', 't10']);
    for (const topic of ['t2', 'e\u0301', 'a', 'z']) store.add(topic, entry(bytes('x')));
    expect(names()).toEqual(['a', 'b', 'é', 'e\u0301', 't2', 't9', 't10', 'z']);
    // Drops t10, t9, b and é.
    for (let i = 0; i < LIMITS.topics - 4; i++) store.add(`in.n${i}`, entry(bytes('x')));
    expect(names()).toEqual(['a', 'e\u0301', 'in', 't2', 'z']);
  });

  it('computes rates over five seconds', () => {
    const store = new Store();
    const start = Date.now();
    for (let second = 0; second < 10; second++) {
      for (let i = 0; i < 20; i++) store.add('a.b', entry(bytes('x')), start + second * 1000);
      store.sample(start + (second + 1) * 1000);
    }
    expect(store.root.rate).toBeCloseTo(20, 5);
    for (let second = 11; second < 20; second++) store.sample(start + second * 1000);
    expect(store.root.rate).toBe(0);
  });

  it.each([true, false])('shows at most 1/s for a message each second, also after a last value (%s)', (hasLast) => {
    const store = new Store();
    const start = Date.now();
    if (hasLast) store.add('a.b', { ...entry(bytes('x')), retained: true }, start);
    for (let second = 0; second < 9; second++) {
      store.add('a.b', entry(bytes('x')), start + second * 1000 + (hasLast ? 500 : 0));
      store.sample(start + second * 1000 + 1000);
      expect(store.topics.get('a.b')?.rate).toBeLessThanOrEqual(1);
    }
    expect(store.topics.get('a.b')?.rate).toBeCloseTo(1, 5);
    expect(store.topics.get('a.b')?.count).toBe(hasLast ? 10 : 9);
  });
});

describe('the frame loop', () => {
  it('draws at most once per frame, not more often than a view wants, and not without frames', () => {
    const frames: ((now: number) => void)[] = [];
    vi.stubGlobal('requestAnimationFrame', (run: (now: number) => void) => frames.push(run));
    try {
      const drawn: string[] = [];
      const loop = new FrameLoop();
      const fast = loop.add(() => drawn.push('fast'), 0);
      const slow = loop.add(() => drawn.push('slow'), 100);
      for (let i = 0; i < 1000; i++) for (const view of [fast, slow]) view.changed();
      // As in a hidden tab: nothing is drawn, and one request waits.
      expect([frames.length, drawn]).toEqual([1, []]);
      frames.shift()!(0);
      expect(drawn).toEqual(['fast', 'slow']);
      for (const now of [16, 32, 99]) {
        for (const view of [fast, slow]) view.changed();
        expect(frames).toHaveLength(1);
        frames.shift()!(now);
      }
      expect(drawn.slice(2)).toEqual(['fast', 'fast', 'fast']);
      frames.shift()!(101);
      expect(drawn.at(-1)).toBe('slow');
      expect(frames).toEqual([]);
      slow.now();
      frames.shift()!(102);
      expect(loop.stats).toEqual({ frames: 6, draws: 7 });
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe('pairs', () => {
  const pairs = [['a', 'old-a'], ['a', 'new-a'], ['b', 'old-b'], ['c', 'old-c'], ['c', 'new-c']].map(([topic = '', brewerId = '']) => ({ topic, brewerId }));
  const shown = (arrivals: Arrivals, now: number) => arrivals.current(pairs, now).map(({ brewerId }) => brewerId);

  it('from before a restart are hidden when their topic has a new pair, until the grace period is over', () => {
    const arrivals = new Arrivals();
    expect(shown(arrivals, 0)).toHaveLength(5);
    arrivals.lost();
    for (const id of ['new-a', 'new-c', 'old-c']) arrivals.came(id);
    expect(shown(arrivals, 1000)).toEqual(['new-a', 'old-b', 'old-c', 'new-c']);
    const grace = arrivals.back(2000);
    expect(shown(arrivals, 2000 + grace - 1)).toHaveLength(4);
    expect(shown(arrivals, 2000 + grace)).toHaveLength(5);
  });

  it('from before a restart are forgotten after the grace period also when nothing is drawn, as in a hidden tab', () => {
    const arrivals = new Arrivals();
    arrivals.lost();
    const grace = arrivals.back(2000);
    arrivals.came('new-a', 2000 + grace);
    expect(shown(arrivals, 2000 + grace - 1)).toHaveLength(5);
  });
});

describe('when the clock is set back', () => {
  it('rates are still computed', () => {
    const store = new Store();
    const now = Date.now();
    expect(store.sample(now)).toBe(true);
    expect(store.sample(now + 999)).toBe(false);
    const back = now - 3_600_000;
    expect(store.sample(back)).toBe(true);
    expect(store.sample(back + 999)).toBe(false);
    for (let second = 1; second <= 6; second++) {
      store.add('a', entry(bytes('x')), back + second * 1000);
      expect(store.sample(back + second * 1000)).toBe(true);
      expect(store.root.rate).toBeCloseTo(1);
    }
  });

  it('a connection that was cut for a time is cut exactly as long', () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'], now: 10_000_000 });
    try {
      const sockets = new Sockets(() => undefined);
      sockets.cut('relay', 10_000);
      vi.advanceTimersByTime(9999);
      vi.setSystemTime(6_400_000);
      expect([sockets.isCut('relay'), sockets.isCut('control'), sockets.state('relay').cutLeft]).toEqual([true, false, 1]);
      vi.advanceTimersByTime(1);
      expect([sockets.isCut('relay'), sockets.state('relay').cutLeft]).toEqual([false, 0]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('explanations', () => {
  it.each([
    ['127.0.0.1:9898', 'ws://127.0.0.1:9898/ws'],
    ['http://host:9898', 'ws://host:9898/ws'],
    ['https://host/', 'wss://host/ws'],
    [' ws://host:1/ws ', 'ws://host:1/ws'],
    ['ws://host/path', 'ws://host/path'],
    ['[::1]:9898', 'ws://[::1]:9898/ws'],
    ['ws:/host:9898', 'ws://host:9898/ws'],
    ['https:///host', 'wss://host/ws'],
    ['', ''],
  ])('completes %j to %j', (given, meant) => expect(completeServer(given)).toBe(meant));

  const check = (input: object, pageProtocol = 'http:') =>
    checkInput({ server: 'ws://host:9898/ws', token: 't', pattern: '**', ...input }, { pageProtocol, isPattern: isTopicPattern });

  it('say what is wrong with the input before a connection is made', () => {
    expect(check({})).toBeUndefined();
    expect(check({ server: 'ws://' })?.field).toBe('server');
    expect(check({ server: 'ftp://host/ws' })?.title).toContain('ftp:');
    expect(check({ server: 'ws://host/#a' })?.field).toBe('server');
    expect(check({ server: 'ws://host/ws#' })?.field).toBe('server');
    expect(check({ server: 'ws://me:secret@host/ws' })?.title).toContain('password');
    expect(check({ server: 'ws://host/a@b' })).toBeUndefined();
    expect(check({ token: '' })?.field).toBe('token');
    expect(check({ pattern: 'a..b' })?.field).toBe('pattern');
    expect(check({}, 'https:')?.text).toContain('wss://');
    expect(check({ server: 'ws://127.0.0.1:9898/ws' }, 'https:')).toBeUndefined();
  });

  it.each([
    ['http://127.0.0.1:9898/', 'ws://127.0.0.1:9898/ws', 'ws://127.0.0.1:9898/ws'],
    ['http://127.0.0.1:9898/#x', undefined, 'ws://127.0.0.1:9898/ws'],
    ['https://app.example/', 'ws://app.example/ws', 'wss://app.example/ws'],
    ['https://app.example/pubkeeper/', 'ws://app.example/ws', 'wss://app.example/pubkeeper/ws'],
    ['http://app.example:81/a/b/index.html?q', 'ws://inside:9898/ws', 'ws://app.example:81/a/b/ws'],
  ])('a page at %s that is told %s finds its server at %s', (page, told, server) => expect(ownServer(page, told)).toBe(server));

  it('distinguish a server that closes at once from one that is not a Pubkeeper server', () => {
    const closed = (code: number, reason = '') => explain({ code: 'CONNECTION_LOST', message: '', details: { code, reason } }, { server: 'ws://host/ws' });
    expect(closed(1008, 'no such room')).toMatchObject({ title: 'host is not a Pubkeeper server.', text: expect.stringContaining('code 1008 and the reason “no such room”') });
    expect(closed(1001).title).toBe('host closed the connection at once.');
    expect(closed(4500).title).toBe('host closed the connection at once.');
  });

  it('say what to do about every way in which a connection fails', () => {
    const ways: [code: string, title: string, text: RegExp][] = [
      ['UNAUTHORIZED', 'The server refused this token.', /^Copy it again, .*\.$/],
      ['SUBPROTOCOL_REFUSED', 'host:9898 is not a Pubkeeper server.', /Check the port and the path.*\.$/],
      ['CONNECT_FAILED', 'No Pubkeeper server answers at host:9898.', /^Check the host, .*\.$/],
      ['CONNECT_BLOCKED', 'The browser did not let this page connect.', /Use another port, .*\.$/],
      ['TIMEOUT', 'host:9898 does not answer in time.', /Check that it is a Pubkeeper server, .*\.$/],
      ['FORBIDDEN', 'This token may not do that.', /^Why\.$/],
      ['SOMETHING_ELSE', 'Something went wrong.', /^Why\.$/],
    ];
    for (const [code, title, text] of ways) {
      expect(explain({ code, message: 'Why.' }, { server: 'ws://host:9898/ws' }), code).toMatchObject({ title, text: expect.stringMatching(text) as string });
    }
    expect(explain({ code: 'CONNECT_FAILED', message: '' }, { server: 'ws://host:9898/ws', answersOtherwise: true }).title).toBe('host:9898 is not a Pubkeeper server.');
  });

  it('name the needs of a server at wss://, as browsers do not say why a connection failed', () => {
    const textOf = (server: string) => explain({ code: 'CONNECT_FAILED', message: '' }, { server }).text;
    expect(textOf('wss://host:9898/ws')).toMatch(/certificate .*ws:\/\//);
    expect(textOf('ws://host:9898/ws')).not.toContain('certificate');
  });

  it('say which servers a page from https may reach, and nothing of that for other pages', () => {
    const textOf = (pageProtocol: string, server: string) => explain({ code: 'CONNECT_BLOCKED', message: '' }, { server, pageProtocol }).text;
    expect(textOf('https:', 'ws://127.0.0.1:9898/ws')).toMatch(/only connect to wss/);
    // WebKit blocks some ports for all pages.
    for (const way of [textOf('http:', 'ws://host:6000/ws'), textOf('https:', 'wss://host:6000/ws')]) expect(way).toMatch(/ports.*policy/);
  });
});

it('times are shown with their day if that is not today, and with their age if that is not short', () => {
  const noon = new Date(2026, 4, 3, 12).getTime();
  const hour = 3_600_000;
  expect([0, 12 * hour - 1, 12 * hour, -13 * hour].map((later) => formatDay(noon, noon + later))).toEqual(['', '', 'May 3 ', 'May 3 ']);
  expect([-hour, 0, 9999, 10_000, 26 * hour].map((later) => formatAge(noon, noon + later))).toEqual(['', '', '', ', 10 s ago', ', 26 h 0 min ago']);
});

it('numbers are formatted with units', () => {
  expect([2 ** 20, 2 ** 24, 1024, 1500].map(formatLimit)).toEqual(['1 MiB', '16 MiB', '1 KiB', '1,500 bytes']);
  expect([0, 1023, 1024, 1_572_864].map(formatBytes)).toEqual(['0 B', '1,023 B', '1.0 KiB', '1.5 MiB'].map((text) => text.replace('1,023', '1023')));
  expect([0, 0.04, 1, 99.95, 2000, 12_345].map(formatRate)).toEqual(['–', '–', '1.0', '100.0', '2,000', '12.3K']);
  expect([12.4, 100, 59_000, 61_000, 3_700_000].map(formatDuration)).toEqual(['12 ms', '0.1 s', '59 s', '61 s', '1 h 1 min']);
});
