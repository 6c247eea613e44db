/// <reference lib="dom" />
import { newId } from '../core/index.js';

const KEY = 'pubkeeper-scope';

/**
 * An id that the pages of this origin and browser profile share: a BroadcastChannel reaches as far as localStorage does. Undefined
 * where there is no localStorage, or where it may not be used.
 */
export function scope(): string | undefined {
  try {
    const known = localStorage.getItem(KEY);
    if (known) return known;
    localStorage.setItem(KEY, newId());
    return localStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}
