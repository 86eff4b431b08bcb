import { describe, expect, it } from '@jest/globals';
import { ProxyRequestError } from '../errors.ts';
import { prefixTargetOf, rewriteForPrefix } from './path-prefix.ts';

const urlOf = (target: string) => prefixTargetOf(target, new Map())?.upstream.href;

describe('prefixTargetOf', () => {
  it.each([
    ['/v2/docker.io/nginx/manifests/latest', 'https://registry-1.docker.io/v2/library/nginx/manifests/latest'],
    ['/v2/docker.io/org/app/manifests/v1', 'https://registry-1.docker.io/v2/org/app/manifests/v1'],
    ['/v2/index.docker.io/nginx/tags/list?n=1', 'https://registry-1.docker.io/v2/library/nginx/tags/list?n=1'],
    ['/v2/ghcr.io/app/manifests/v1', 'https://ghcr.io/v2/app/manifests/v1'],
    ['/v2/ghcr.io/_catalog', 'https://ghcr.io/v2/_catalog'],
    ['/v2/ghcr.io/', 'https://ghcr.io/v2/'],
    ['/v2/docker.io/_catalog', 'https://registry-1.docker.io/v2/_catalog'],
    ['/v2/localhost/app/manifests/v1', 'http://localhost/v2/app/manifests/v1'],
    ['/v2/127.0.0.1:5000/app/manifests/v1', 'http://127.0.0.1:5000/v2/app/manifests/v1'],
    ['/v2/10.0.0.1%3A5000/app/manifests/v1', 'https://10.0.0.1:5000/v2/app/manifests/v1'],
    [
      '/v2/ghcr.io/a/blobs/uploads/?mount=d&from=docker.io/b',
      'https://ghcr.io/v2/a/blobs/uploads/?mount=d&from=docker.io%2Fb',
    ],
  ])('reads %s', (target, url) => {
    expect(urlOf(target)).toBe(url);
  });

  it.each([
    '/v2/',
    '/v2/library/nginx/manifests/latest',
    '/v2/ghcr.io',
    '/file.bin',
    '/v1/ghcr.io/x',
    '/v2/../etc/passwd',
    `/v2/${'a.'.repeat(200)}/x`,
  ])('leaves %s to the mirror', (target) => {
    expect(urlOf(target)).toBeUndefined();
  });

  it.each(['/v2/user:pass@host.test/x', '/v2/a.b%23c/x', '/v2/a.b%5c/x'])('refuses %s', (target) => {
    expect(() => urlOf(target)).toThrow(ProxyRequestError);
  });
});

describe('rewriteForPrefix', () => {
  it('leaves places elsewhere, and what is no place, alone', () => {
    const target = { upstream: new URL('https://r.test/v2/a/blobs/x'), prefix: 'r.test' };
    for (const location of ['https://cdn.test/v2/a', 'https://r.test/auth', 'http://r.test/v2/a', 'http://[']) {
      expect(rewriteForPrefix({ location, etag: 'x' }, target)).toEqual({ location, etag: 'x' });
    }
    expect(rewriteForPrefix({ location: '../b?c=1' }, target)).toEqual({ location: '/v2/r.test/a/b?c=1' });
  });
});
