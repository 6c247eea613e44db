// Draws when something has changed, at most once per animation frame. Messages only mark views as changed, so a thousand of
// them cost one drawing; and a hidden tab gets no frames, so nothing piles up there.

/** @typedef {{ draw: (now: number) => void, everyMs: number, dirty: boolean, drawnAt: number }} View */

export class FrameLoop {
  /** @type {View[]} */
  #views = [];
  #requested = false;
  /** For tests: how many frames have drawn anything, and how many times views were drawn. */
  stats = { frames: 0, draws: 0 };

  /**
   * Adds a view. `everyMs`: the shortest time between two drawings, since people cannot read numbers that change faster.
   * @param {(now: number) => void} draw
   * @param {number} everyMs
   * @returns {{ changed: () => void, now: () => void }} `now`: draws without regard to `everyMs`, after an action of a person
   */
  add(draw, everyMs) {
    /** @type {View} */
    const view = { draw, everyMs, dirty: false, drawnAt: -Infinity };
    this.#views.push(view);
    const changed = () => {
      view.dirty = true;
      this.#request();
    };
    const now = () => {
      view.drawnAt = -Infinity;
      changed();
    };
    return { changed, now };
  }

  #request() {
    if (this.#requested) return;
    this.#requested = true;
    requestAnimationFrame((now) => this.#frame(now));
  }

  /** @param {number} now */
  #frame(now) {
    this.#requested = false;
    let drew = false;
    for (const view of this.#views) {
      if (!view.dirty || now - view.drawnAt < view.everyMs) continue;
      view.dirty = false;
      view.drawnAt = now;
      view.draw(now);
      this.stats.draws += 1;
      drew = true;
    }
    if (drew) this.stats.frames += 1;
    if (this.#views.some(({ dirty }) => dirty)) this.#request();
  }
}
