import { type BrewerConfig, type Opener, Patron as CorePatron } from '../core/index.js';
import { type Matched, Target, type TargetEvents, type TargetHost, type TargetOptions } from './target.js';

/** What a {@link Patron} emits. */
export interface PatronEvents extends TargetEvents {
  /** A message: what was brewed, and where it comes from. `from` and `createdBy` are the brewer's id. */
  message: [data: Uint8Array, info: { readonly topic: string; readonly from: string; readonly createdBy: string }];
}

/** The options of `addPatron`. */
export type PatronOptions = TargetOptions;

/** What subscribes: given to `matched` at its first match. */
export class Patron extends Target<PatronEvents> {
  /** @internal */
  constructor(core: CorePatron, host: TargetHost, matched: Matched<Patron> | undefined) {
    super(core.patronId, core.topic, host);
    core.on('added', ({ topic, brewerId: id }) =>
      this.joined(
        id,
        () => matched?.(this),
        () => this.emit('added', { topic, id }),
      ),
    );
    core.on('removed', ({ brewerId: id }) => this.left(id, () => this.emit('removed', { id })));
  }
}

/** A patron of the SDK whose messages go to the patron of the old API that `to` returns. */
export const corePatron = (
  topic: string,
  id: string | undefined,
  opener: (config: BrewerConfig) => Opener | undefined,
  to: () => Patron,
): CorePatron =>
  new CorePatron(
    topic,
    (data, { topic: literal, brewerId }) => {
      to().emit('message', data, { topic: literal, from: brewerId, createdBy: brewerId });
    },
    { ...(id !== undefined && { patronId: id }), opener },
  );
