import { defaultEngine } from '../../dist/core/index.js';
import * as measures from '../lib/patron-alone.mjs';
import { cryptoJs, nobleKept, webCrypto } from '../lib/openers.mjs';

const openers = { webCrypto, nobleKept, cryptoJs };

/** `measure` is a name of lib/patron-alone.mjs; `options.opener` one of lib/openers.mjs. */
export const measure = (name, options) => measures[name]({ ...options, engine: defaultEngine(), opener: openers[options.opener] });
