import { describe, expect, it } from '@jest/globals';
import { loggableTarget } from './request-log.ts';

describe('loggableTarget', () => {
  it('keeps path and query as received', () => {
    expect(loggableTarget('/v2/a/blobs/sha256:1?ns=ghcr.io')).toBe('/v2/a/blobs/sha256:1?ns=ghcr.io');
    expect(loggableTarget('/v2/')).toBe('/v2/');
  });

  it('hides the values of parameters that sign or authorise', () => {
    expect(loggableTarget('/x?X-Amz-Signature=planted&a=1&access_token=planted&X-Amz-Credential=planted')).toBe(
      '/x?X-Amz-Signature=***&a=1&access_token=***&X-Amz-Credential=***',
    );
    expect(loggableTarget('/x?%58-Amz-Signature=planted')).toBe('/x?%58-Amz-Signature=***');
  });
});
