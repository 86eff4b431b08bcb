// End-to-end suites run one after the other: each takes both cores and the disk, and times what it does.
import base from '../../jest.base.mjs';

export default {
  ...base,
  testMatch: ['<rootDir>/test/**/*.e2e.test.ts'],
  maxWorkers: 1,
  testTimeout: 120_000,
  verbose: true,
};
