import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const readonlyGlobals = Object.fromEntries(Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly']));

export default tseslint.config(
  { ignores: ['dist/', '**/node_modules/', '**/coverage/', '**/*.min.js'] },
  js.configs.recommended,
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: { globals: readonlyGlobals },
    // What a page's script names as a global, a newer Node has too.
    rules: { 'no-redeclare': ['error', { builtinGlobals: false }] },
  },
  {
    files: ['demo/**/*.{js,mjs}'],
    // demo/tsconfig.json knows the page's globals, and every other name too.
    rules: { 'no-undef': 'off' },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommended],
    languageOptions: {
      parserOptions: { project: ['tsconfig.json', 'tsconfig.test.json', 'demo/tsconfig.json'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      // A leading underscore marks what an interface demands and this implementation does not need.
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['test/**/*.ts', 'e2e/**/*.ts'],
    ignores: ['test/fast-check.ts'],
    rules: { 'no-restricted-imports': ['error', { name: 'fast-check', message: 'Use test/fast-check.ts: by itself it makes lists of ten at most.' }] },
  },
);
