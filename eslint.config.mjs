import js from '@eslint/js';
import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

// Who may import whom. README.md, "Where things live", tells the same in words.
const MAY_IMPORT = {
  app: ['service', 'cli', 'runtime'],
  service: ['feature', 'adapter', 'core', 'contract', 'runtime'],
  cli: ['feature', 'core', 'contract', 'runtime'],
  feature: ['feature', 'core', 'contract', 'runtime'],
  adapter: ['feature', 'core', 'contract', 'runtime'],
  runtime: ['core', 'contract', 'runtime'], // contract: the listener answers grpc.health.v1
  contract: ['contract'],
  core: ['core'],
};

/** Tests may use the test kit as well, and core libraries' tests npm packages. */
const boundaries = (forTests) => [
  ...Object.entries(MAY_IMPORT).map(([type, targets]) => ({
    sourceTag: `type:${type}`,
    onlyDependOnLibsWithTags: [...targets, ...(forTests ? ['testing'] : [])].map((target) => `type:${target}`),
    ...(type === 'core' && !forTests ? { bannedExternalImports: ['*'] } : {}),
  })),
  { sourceTag: 'type:testing', onlyDependOnLibsWithTags: ['*'] },
  { sourceTag: 'type:tool', onlyDependOnLibsWithTags: ['*'] },
];

// Core libraries take time, randomness and bytes as arguments; hashing is the one built-in they may use.
const core = ['piece', 'piece-codec', 'swarm', 'swarm-simulator', 'storage-gc', 'oci', 'cluster-search'].map(
  (name) => `libs/${name}/src/**/*.ts`,
);

export default tseslint.config(
  { ignores: ['**/dist', '**/bundle', '**/coverage', '**/gen/**', '**/migrations', '**/*.mjs', '.nx'] },
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  { languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } } },
  {
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': ['error', { depConstraints: boundaries(false) }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      eqeqeq: ['error', 'always'],
      // In a block with `using`, a promise returned unawaited outlives what it works with.
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
    },
  },
  {
    files: core,
    ignores: ['**/*.test.ts', '**/_*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^node:(?!crypto$|zlib$)', message: 'Core libraries do no I/O.' }] },
      ],
      'no-restricted-globals': [
        'error',
        'process',
        'fetch',
        'setTimeout',
        'setInterval',
        'setImmediate',
        'queueMicrotask',
        'performance',
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Time is an argument in core libraries.' },
        { object: 'Math', property: 'random', message: 'Randomness is an argument in core libraries.' },
      ],
    },
  },
  {
    files: ['**/*.test.ts', '**/_*.ts', '**/test/**'],
    rules: {
      '@nx/enforce-module-boundaries': ['error', { depConstraints: boundaries(true) }],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
);
