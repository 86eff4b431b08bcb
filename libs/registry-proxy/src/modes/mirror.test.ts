import { describe, expect, it } from '@jest/globals';
import { REGISTRY_PROXY_DEFAULTS, type RegistryPolicy } from '../config.ts';
import { ProxyRequestError } from '../errors.ts';
import { mirrorTargetOf } from './mirror.ts';

const upstream = (
  target: string,
  header?: string,
  over: { dynamic?: boolean; mirrorAddr?: string; registries?: Map<string, RegistryPolicy> } = {},
) =>
  mirrorTargetOf(
    target,
    { registryHeader: header, hostHeader: 'proxy.test:65001' },
    { ...REGISTRY_PROXY_DEFAULTS, ...over },
  ).upstream.href;

describe('mirrorTargetOf', () => {
  it('prefers the header, then ns, then the configured registry', () => {
    expect(upstream('/v2/?ns=ghcr.io', 'http://header.test:5000')).toBe('http://header.test:5000/v2/');
    expect(upstream('/v2/?ns=ghcr.io')).toBe('https://ghcr.io/v2/');
    expect(upstream('/v2/', undefined, { mirrorAddr: 'https://mirror.test' })).toBe('https://mirror.test/v2/');
  });

  it('weakness 31: knows the registry of Docker Hub under each of its names', () => {
    expect(upstream('/v2/library/a/manifests/1?ns=docker.io')).toBe(
      'https://registry-1.docker.io/v2/library/a/manifests/1',
    );
    expect(upstream('/v2/', 'https://index.docker.io')).toBe('https://registry-1.docker.io/v2/');
    expect(upstream('/v2/')).toBe('https://registry-1.docker.io/v2/');
  });

  it('reads an encoded ns, and keeps a scheme it has', () => {
    expect(upstream('/v2/?ns=10.1.2.3%3A5000')).toBe('https://10.1.2.3:5000/v2/');
    expect(upstream('/v2/?ns=http%3A%2F%2Fplain.test')).toBe('http://plain.test/v2/');
  });

  it('takes http for this machine, unless told otherwise, and for hosts configured so', () => {
    expect(upstream('/v2/?ns=127.0.0.1%3A5000')).toBe('http://127.0.0.1:5000/v2/');
    expect(upstream('/v2/?ns=localhost:5000')).toBe('http://localhost:5000/v2/');
    const registries = new Map<string, RegistryPolicy>([
      ['127.0.0.1:5443', { scheme: 'https' }],
      ['plain.test:5000', { scheme: 'http' }],
    ]);
    expect(upstream('/v2/?ns=127.0.0.1:5443', undefined, { registries })).toBe('https://127.0.0.1:5443/v2/');
    expect(upstream('/v2/?ns=plain.test:5000', undefined, { registries })).toBe('http://plain.test:5000/v2/');
  });

  it('goes where the configuration says a registry of that name is', () => {
    const registries = new Map<string, RegistryPolicy>([['registry.test', { base: 'http://127.0.0.1:5000' }]]);
    expect(upstream('/v2/?ns=registry.test', undefined, { registries })).toBe('http://127.0.0.1:5000/v2/');
  });

  it('does not take itself for the registry', () => {
    expect(upstream('/v2/?ns=proxy.test%3A65001')).toBe('https://registry-1.docker.io/v2/');
  });

  it('weakness 31: joins a base and a path by one slash, and is not led astray when it is pinned', () => {
    const pinned = { dynamic: false, mirrorAddr: 'https://only.test/base/' };
    expect(upstream('/v2/a/b?ns=ghcr.io&x=1', 'https://evil.test', pinned)).toBe('https://only.test/base/v2/a/b?x=1');
  });

  it('leaves the rest of the query byte for byte', () => {
    expect(upstream('/v2/x?n=1&ns=ghcr.io&last=a%2Fb&flag')).toBe('https://ghcr.io/v2/x?n=1&last=a%2Fb&flag');
  });

  it('does not take a path for a host', () => {
    expect(new URL(upstream('//evil.test/v2/')).host).toBe('registry-1.docker.io');
  });

  it.each(['ftp://x', 'https://user:pass@x', 'nonsense'])('refuses the header %s', (header) => {
    expect(() => upstream('/v2/', header)).toThrow(ProxyRequestError);
  });

  it.each(['a/b', 'user@host', '%00'])('refuses the ns %s', (ns) => {
    expect(() => upstream(`/v2/?ns=${ns}`)).toThrow(ProxyRequestError);
  });
});
