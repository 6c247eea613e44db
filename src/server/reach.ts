/** The topics on which each publisher has published lately: they tell who else would have to wait if the publisher was made to wait. */
export class Reach<C, T extends { readonly members: ReadonlySet<C> }> {
  readonly #topics = new Map<C, { last: T | undefined; now: Set<T>; before: Set<T> }>();

  /** `from` has published on a topic. */
  note(from: C, topic: T): void {
    let topics = this.#topics.get(from);
    if (!topics) this.#topics.set(from, (topics = { last: undefined, now: new Set(), before: new Set() }));
    if (topics.last === topic) return;
    topics.last = topic;
    topics.now.add(topic);
  }

  /** Whether any connection other than `reader` and `from` reads what `from` publishes, and is not full. */
  others(from: C, reader: C, isFull: (member: C) => boolean): boolean {
    const topics = this.#topics.get(from);
    for (const topic of [...(topics?.now ?? []), ...(topics?.before ?? [])]) {
      for (const member of topic.members) if (member !== reader && member !== from && !isFull(member)) return true;
    }
    return false;
  }

  /** Some time has passed: what was published before the previous call does not count any more. */
  age(): void {
    for (const [from, topics] of this.#topics) {
      topics.before = topics.now;
      topics.now = new Set();
      topics.last = undefined;
      if (!topics.before.size) this.#topics.delete(from);
    }
  }

  gone(connection: C): void {
    this.#topics.delete(connection);
  }
}
