/**
 * What a CommonJS module exports, however it was imported: esbuild with code splitting, with which Vite 5 to 7 serve pages in
 * development, gives only the `default` of such a module.
 */
export const wholeModule = <T extends object>(module: T & { readonly default?: T }): T => module.default ?? module;
