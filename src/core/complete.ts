/** Options with each a value: `Required`, which leaves an `undefined` that may be given for the default. */
export type Complete<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> };
