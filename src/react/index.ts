'use client';
// `pubkeeper/react`: a client for the components below a provider, and hooks for what they read and brew.
export { PubkeeperProvider, type PubkeeperProviderProps, usePubkeeper, type PubkeeperView } from './provider.js';
export { useLatest, usePatron, type PatronView, type UsePatronOptions } from './patron.js';
export { useBrewer, type BrewerView } from './brewer.js';
