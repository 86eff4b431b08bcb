import { describe, expect, it } from '@jest/globals';
import { parseDragonflyHeaders } from './dragonfly-headers.ts';
import { ProxyRequestError } from './errors.ts';

const CONTENT = 'x-dragonfly-content-for-calculating-task-id';

describe('X-Dragonfly-Content-For-Calculating-Task-ID', () => {
  it('names a task by any text', () => {
    expect(parseDragonflyHeaders({ [CONTENT]: 'model-7 v2' }).contentForCalculatingTaskId).toBe('model-7 v2');
  });

  it('does not let a caller take the place of a URL that others ask for', () => {
    for (const text of ['https://ghcr.io/v2/a/blobs/xSTANDARD', ' HTTP://host/', 's3://bucket/key']) {
      expect(() => parseDragonflyHeaders({ [CONTENT]: text })).toThrow(ProxyRequestError);
    }
  });
});
