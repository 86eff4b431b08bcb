// One configuration for every project: ESM as Node runs it, TypeScript stripped by swc, sources instead of builds.
import { join } from 'node:path';

export default {
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['@d7y/source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  testMatch: ['<rootDir>/src/**/*.test.ts', '<rootDir>/test/**/*.test.ts'],
  setupFilesAfterEnv: [join(import.meta.dirname, 'jest.setup.mjs')],
  coverageProvider: 'babel',
  workerIdleMemoryLimit: '1GB',
  // Tells seconds from minutes on a busy machine; no test waits for time to pass.
  testTimeout: 30_000,
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        swcrc: false,
        jsc: { parser: { syntax: 'typescript' }, target: 'es2024' },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
};
