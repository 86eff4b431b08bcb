import { expect, it } from '@jest/globals';
import { parseRegistryPath } from './registry-path.ts';

const DIGEST = `sha256:${'0f'.repeat(32)}`;
const OTHER = { kind: 'other' };

it.each([
  ['/v2/', { kind: 'base' }],
  ['/v2', { kind: 'base' }],
  ['/v2/app/manifests/v1', { kind: 'manifest', repository: 'app', reference: 'v1', isDigest: false }],
  [`/v2/a/b/manifests/${DIGEST}`, { kind: 'manifest', repository: 'a/b', reference: DIGEST, isDigest: true }],
  [`/v2/a/b/blobs/${DIGEST}`, { kind: 'blob', repository: 'a/b', digest: DIGEST }],
  [`/v2/blobs/manifests/blobs/${DIGEST}`, { kind: 'blob', repository: 'blobs/manifests', digest: DIGEST }],
  [
    '/v2/manifests/manifests/manifests',
    { kind: 'manifest', repository: 'manifests', reference: 'manifests', isDigest: false },
  ],
  ['/v2/app/blobs/v1', OTHER],
  ['/v2/app/blobs/sha256:00', OTHER],
  ['/v2/app/blobs/uploads/', OTHER],
  ['/v2/app/tags/list', OTHER],
  ['/v2/_catalog', OTHER],
  ['/v2/App/manifests/v1', OTHER],
  ['/v2/../app/manifests/v1', OTHER],
  ['/v2/a//b/manifests/v1', OTHER],
  ['/v2/a%2Fb/manifests/v1', OTHER],
  ['/v2/app/manifests/', OTHER],
  ['/v2/app/manifests/v1/', OTHER],
  ['/v2/manifests/v1', OTHER],
  [`/v2/app/manifests/sha256:${'0F'.repeat(32)}`, OTHER],
  ['/v1/app/manifests/v1', OTHER],
  ['', OTHER],
  [`/v2/${'a/manifests/'.repeat(10_000)}v1`, OTHER],
])('reads the path %j', (path, expected) => {
  expect(parseRegistryPath(path)).toEqual(expected);
});
