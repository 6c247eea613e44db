/** Options that all have a value. `Required` would leave the `undefined` that may be given in the place of a default. */
export type Complete<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> };
