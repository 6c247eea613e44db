import type { Patron as CorePatron } from '../core/index.js';
import { type Matched, Target, type TargetEvents, type TargetHost, type TargetOptions } from './target.js';

/** What a {@link Patron} emits. */
export interface PatronEvents extends TargetEvents {
  /** A message: what was brewed, and where it comes from. `from` and `createdBy` are the brewer's id. */
  message: [
    data: Uint8Array<ArrayBuffer>,
    info: {
      /** The brewer's literal topic. */
      readonly topic: string;
      /** 32 hex digits. */
      readonly from: string;
      /** 32 hex digits. */
      readonly createdBy: string;
    },
  ];
}

/** The options of `addPatron`. */
export type PatronOptions = TargetOptions;

/** A subscriber: passed to `matched` at its first match. */
export class Patron extends Target<PatronEvents> {
  /** @internal */
  constructor(core: CorePatron, host: TargetHost, matched: Matched<Patron> | null | undefined) {
    super(core, core.patronId, host, matched);
  }
}
