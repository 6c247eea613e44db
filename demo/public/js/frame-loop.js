// Draws when something has changed, at most once in an animation frame. Messages only mark what they changed, so a
// thousand of them cost one drawing; and a hidden tab gets no frames, so nothing piles up there.

/** @typedef {{ draw: (now: number) => void, everyMs: number, dirty: boolean, drawnAt: number }} View */

export class FrameLoop {
  /** @type {View[]} */
  #views = [];
  #requested = false;
  /** How many frames have drawn anything, and how many drawings views have made: for the tests. */
  stats = { frames: 0, draws: 0 };

  /**
   * Adds a view. `everyMs`: numbers that change faster than that cannot be read.
   * @param {(now: number) => void} draw
   * @param {number} everyMs
   * @returns {{ changed: () => void, now: () => void }} `now`: without regard to `everyMs`, for what a person has just done
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
