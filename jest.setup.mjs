// A test that fails is tried once more, and named at the end of the run: on a busy machine a process may stand still for seconds.
// What fails twice has failed.
import { jest } from '@jest/globals';

jest.retryTimes(1, { logErrorsBeforeRetry: true });
