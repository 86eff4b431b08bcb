import { MAX_PIECE_LENGTH, MIN_PIECE_LENGTH } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { fuzz } from './_fakes.ts';
import { REGISTRY_PROXY_DEFAULTS } from './config.ts';
import { parseDragonflyHeaders } from './dragonfly-headers.ts';
import { ProxyRequestError } from './errors.ts';
import { rewriteForPrefix } from './modes/path-prefix.ts';
import { loggableTarget } from './request-log.ts';
import { routeOf } from './route.ts';
import { targetOf } from './target.ts';

const runs = fuzz(500, 50_000);

/** What the work gives; undefined when it refuses the request as such. Any other error fails the test. */
function unlessRefused<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof ProxyRequestError) return undefined;
    throw error;
  }
}

/** Characters that may stand in a header or a target, with more of those that mean something. */
const text = fc
  .array(fc.oneof(fc.constantFrom(...'/:@?#%&=.,[]\\-*'), fc.constantFrom(...'abAB012'), fc.string({ maxLength: 3 })), {
    maxLength: 30,
  })
  .map((parts) => parts.join(''));
const host = fc.oneof(fc.domain(), fc.ipV4(), fc.constantFrom('docker.io', 'localhost', '[::1]', 'a.b:5000'), text);
const path = fc.oneof(
  text.map((rest) => `/${rest}`),
  fc.tuple(host, text).map(([name, rest]) => `/v2/${name}/${rest}`),
  fc
    .tuple(host, fc.constantFrom('a', 'a/b'), text)
    .map(([name, repository, rest]) => `/v2/${name}/${repository}/blobs/${rest}`),
  fc.tuple(text, host).map(([rest, name]) => `/v2/${rest}?ns=${name}`),
);
const target = fc.oneof(
  path,
  text,
  fc
    .tuple(fc.constantFrom('http', 'https', 'ftp', 'HTTP'), host, path)
    .map(([scheme, name, rest]) => `${scheme}://${name}${rest}`),
);

describe('any request', () => {
  it('goes to an http(s) URL without credentials, or is refused', () => {
    const named = fc.record({
      url: target,
      registryHeader: fc.option(
        fc.oneof(
          text,
          host.map((name) => `https://${name}`),
        ),
        { nil: undefined },
      ),
      tunnel: fc.option(
        fc.domain().map((name) => `${name}:443`),
        { nil: undefined },
      ),
      hostHeader: fc.option(host, { nil: undefined }),
    });
    fc.assert(
      fc.property(named, ({ url, registryHeader, tunnel, hostHeader }) => {
        const headers = hostHeader === undefined ? {} : { host: hostHeader };
        const found = unlessRefused(() =>
          targetOf({ url, headers }, { registryHeader, tunnel }, REGISTRY_PROXY_DEFAULTS),
        );
        if (found === undefined) return;
        const { upstream, mode, prefix } = found;
        expect(upstream.protocol).toMatch(/^https?:$/);
        expect([upstream.username, upstream.password]).toEqual(['', '']);
        expect(upstream.hostname).not.toBe('');
        if (tunnel !== undefined) expect([mode, upstream.host]).toEqual(['intercepted', tunnel.replace(/:443$/, '')]);
        if (prefix !== undefined) {
          const location = upstream.href;
          expect(rewriteForPrefix({ location }, { upstream, prefix })['location']).toBeDefined();
        }
        const asked = parseDragonflyHeaders({});
        const route = routeOf(
          { method: 'GET', headers, target: found, asked: { ...asked, useP2p: true } },
          [],
          REGISTRY_PROXY_DEFAULTS,
        );
        expect(route.upstream.host).toBe(upstream.host);
      }),
      runs,
    );
  });

  it('is pinned to its registry when nothing may be named, whatever it names', () => {
    const config = { ...REGISTRY_PROXY_DEFAULTS, dynamic: false, mirrorAddr: 'https://only.test/base' };
    fc.assert(
      fc.property(path, fc.option(text, { nil: undefined }), (url, registryHeader) => {
        const found = unlessRefused(() => targetOf({ url, headers: {} }, { registryHeader }, config));
        if (found !== undefined) expect(found.upstream.host).toBe('only.test');
      }),
      runs,
    );
  });

  it('never has the password of its target in a log', () => {
    const password = 'pl4nted';
    fc.assert(
      fc.property(fc.domain(), path, (name, rest) => {
        expect(loggableTarget(`http://user:${password}@${name}${rest}`)).not.toContain(password);
        expect(loggableTarget(`user:${password}@${name}:443`)).not.toContain(password);
        expect(loggableTarget(`/x?access_token=${password}&a=b`)).not.toContain(password);
      }),
      runs,
    );
  });
});

describe('any X-Dragonfly headers', () => {
  it('give wishes within their limits, or are refused', () => {
    const names = [
      ...['tag', 'application', 'priority', 'registry', 'filtered-query-params', 'use-p2p', 'prefetch', 'piece-length'],
      ...['content-for-calculating-task-id', 'enable-task-id-based-blob-digest', 'output-path', 'force-hard-link'],
    ];
    const value = fc.oneof(
      text,
      fc.nat(100).map(String),
      fc.constantFrom('true', 'TRUE', 'false', '4MiB', '64MiB', '1e9GiB'),
    );
    const headers = fc.dictionary(fc.constantFrom(...names.map((name) => `x-dragonfly-${name}`)), value, {
      maxKeys: 4,
    });
    fc.assert(
      fc.property(headers, (received) => {
        const asked = unlessRefused(() => parseDragonflyHeaders(received));
        const writesFiles = 'x-dragonfly-output-path' in received || 'x-dragonfly-force-hard-link' in received;
        if (writesFiles) expect(asked).toBeUndefined();
        if (asked === undefined) return;
        expect([0, 1, 2, 3, 4, 5, 6]).toContain(asked.priority);
        for (const name of asked.filteredQueryParams ?? []) expect(name).toBe(name.trim());
        if (asked.pieceLength === undefined) return;
        expect(asked.pieceLength).toBeGreaterThanOrEqual(MIN_PIECE_LENGTH);
        expect(asked.pieceLength).toBeLessThanOrEqual(MAX_PIECE_LENGTH);
      }),
      runs,
    );
  });
});
