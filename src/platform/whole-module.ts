/**
 * What a CommonJS module exports, however it was imported: esbuild with code splitting, by which Vite 5 to 7 serve pages in
 * development, gives such a module's `default` alone.
 */
export const wholeModule = <T extends object>(module: T & { readonly default?: T }): T => module.default ?? module;
