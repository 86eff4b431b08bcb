import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { vectors } from './_vectors.ts';
import {
  blobDigestOf,
  DEFAULT_FILTERED_QUERY_PARAMS,
  hashedUrl,
  persistentCacheTaskIdOf,
  persistentTaskIdOf,
  taskIdOf,
} from './task-id.ts';

const HEX = 'ab'.repeat(32);
const blobUrl = (digest: string): string => `https://registry.example.com/v2/org/app/blobs/${digest}`;

describe('taskIdOf', () => {
  it.each(vectors.taskId)('gives $url ($tag, $application, $revision, $pieceLength) the agreed id', (vector) => {
    expect(hashedUrl(vector.url, vector.filteredQueryParams ?? [])).toBe(vector.hashedUrl);
    expect(taskIdOf(vector)).toBe(vector.id);
  });

  it.each(vectors.taskIdFromContent)('hashes nothing but the text that was given for it', ({ content, id }) => {
    expect(taskIdOf({ url: 'https://anything.example', tag: 'x', contentForCalculatingTaskId: content })).toBe(id);
  });

  it.each(vectors.taskIdFromBlobDigest)('takes the digest of a blob as id', ({ url, id }) => {
    expect(taskIdOf({ url, tag: 'x', enableTaskIdBasedBlobDigest: true })).toBe(id);
    expect(taskIdOf({ url: `${url}?ns=docker.io`, enableTaskIdBasedBlobDigest: true })).toBe(id);
    expect(taskIdOf({ url })).not.toBe(id);
  });

  it.each([`sha512:${HEX}${HEX}`, `blake3:${HEX}`, `x:sha256:${HEX}`, `sha256:${HEX.toUpperCase()}`, 'latest'])(
    'weakness 30: hashes the URL of a blob named by %s, so that every id has the length of its field',
    (digest) => {
      const url = blobUrl(digest);
      const id = taskIdOf({ url, enableTaskIdBasedBlobDigest: true });
      expect(id).toBe(taskIdOf({ url }));
      expect(id).toHaveLength(64);
    },
  );

  it('does not tell an absent part from an empty one', () => {
    const url = 'https://example.com/file';
    expect(taskIdOf({ url, tag: '', application: '', revision: '', filteredQueryParams: [] })).toBe(taskIdOf({ url }));
  });

  it('ignores the values and the order of filtered parameters', () => {
    const filteredQueryParams = DEFAULT_FILTERED_QUERY_PARAMS;
    const signed = taskIdOf({ url: 'https://e.com/f?X-Amz-Date=1&v=2&Signature=abc', filteredQueryParams });
    expect(signed).toBe(taskIdOf({ url: 'https://e.com/f?Signature=x&v=2&Expires=9&ns=y', filteredQueryParams }));
    expect(signed).toBe(taskIdOf({ url: 'https://e.com/f?v=2' }));
    expect(signed).not.toBe(taskIdOf({ url: 'https://e.com/f?v=2&signature=x', filteredQueryParams }));
  });

  it('refuses what is no URL', () => {
    expect(() => taskIdOf({ url: 'no url' })).toThrow('Invalid URL');
  });
});

describe('blobDigestOf', () => {
  it('answers as the expression that others use', () => {
    const expression = /^.*:\/\/.*\/v2\/.*\/blobs\/([^?]+)(?:\?.*)?$/;
    const part = fc.constantFrom(
      'https',
      '://',
      '/v2/',
      '/',
      'app',
      'blobs',
      '/blobs/',
      'sha256:00',
      '?',
      'a=b',
      '/v2',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 14 }), (parts) => {
        const url = parts.join('');
        expect(blobDigestOf(url)).toBe(expression.exec(url)?.[1]);
      }),
      { numRuns: 3000 },
    );
  });

  it('takes no more than a moment on a crafted URL', () => {
    const url = `x${'://'.repeat(5000)}${'/v2/'.repeat(5000)}${'/blobs/?'.repeat(5000)}`;
    const startedAt = performance.now();
    expect(blobDigestOf(url)).toBeUndefined();
    expect(performance.now() - startedAt).toBeLessThan(500);
  });
});

describe('ids of other tasks', () => {
  it.each(vectors.persistentTaskId)('names the object $url as agreed', ({ id, ...object }) => {
    expect(persistentTaskIdOf(object)).toBe(id);
  });

  it.each(vectors.persistentCacheTaskId)('names an imported file as agreed', ({ id, fileContent, ...rest }) => {
    expect(persistentCacheTaskIdOf({ content: Buffer.from(fileContent), ...rest })).toBe(id);
  });
});

describe('DEFAULT_FILTERED_QUERY_PARAMS', () => {
  it('lists each parameter once', () => {
    expect(new Set(DEFAULT_FILTERED_QUERY_PARAMS).size).toBe(DEFAULT_FILTERED_QUERY_PARAMS.length);
    expect(DEFAULT_FILTERED_QUERY_PARAMS).toHaveLength(30);
  });
});
