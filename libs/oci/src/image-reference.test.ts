import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ImageReferenceError } from './errors.ts';
import { apiHostOf, formatImageReference, isRepository, parseImageReference } from './image-reference.ts';

const DIGEST = `sha256:${'0f'.repeat(32)}`;

describe('parseImageReference', () => {
  it.each<[string, string, string, string | undefined, string | undefined]>([
    ['nginx', 'docker.io', 'library/nginx', 'latest', undefined],
    ['nginx:1.27', 'docker.io', 'library/nginx', '1.27', undefined],
    ['org/app', 'docker.io', 'org/app', 'latest', undefined],
    ['docker.io/nginx', 'docker.io', 'library/nginx', 'latest', undefined],
    ['index.docker.io/org/app:v1', 'docker.io', 'org/app', 'v1', undefined],
    ['registry-1.docker.io/library/nginx', 'docker.io', 'library/nginx', 'latest', undefined],
    ['ghcr.io/org/sub/app:v1.2-rc.1', 'ghcr.io', 'org/sub/app', 'v1.2-rc.1', undefined],
    ['localhost/app', 'localhost', 'app', 'latest', undefined],
    ['localhost:5000/app', 'localhost:5000', 'app', 'latest', undefined],
    ['127.0.0.1:5000/test/app:v1', '127.0.0.1:5000', 'test/app', 'v1', undefined],
    ['[2001:db8::1]:5000/app:v1', '[2001:db8::1]:5000', 'app', 'v1', undefined],
    ['REGISTRY/app', 'REGISTRY', 'app', 'latest', undefined],
    [`quay.io/a/b@${DIGEST}`, 'quay.io', 'a/b', undefined, DIGEST],
    [`quay.io/a/b:v1@${DIGEST}`, 'quay.io', 'a/b', 'v1', DIGEST],
    ['a__b/c--d.e_f:X_1', 'docker.io', 'a__b/c--d.e_f', 'X_1', undefined],
  ])('reads %s', (text, registry, repository, tag, digest) => {
    expect(parseImageReference(text)).toEqual({ registry, repository, tag, digest });
  });

  it.each([
    '',
    ':v1',
    '/app',
    'app/',
    'a//b',
    'App',
    'org/App',
    'app:',
    'app:-v1',
    `app:${'v'.repeat(129)}`,
    'app@',
    'app@sha256:00',
    `app@SHA256:${'0'.repeat(64)}`,
    `app@${DIGEST}@${DIGEST}`,
    'https://ghcr.io/app',
    'ghcr.io:port/app',
    '-bad.io/app',
    'a___b',
    'app v1',
    '../app',
    'ghcr.io/../app',
    'é.io/app',
    `ghcr.io/${'a'.repeat(256)}`,
    'x'.repeat(100_000),
  ])('refuses %j', (text) => {
    expect(() => parseImageReference(text)).toThrow(ImageReferenceError);
  });

  it('reads what formatImageReference writes', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?$/);
    const reference = fc.record({
      registry: fc.constantFrom('ghcr.io', 'localhost', 'localhost:5000', '10.0.0.1:80', 'docker.io'),
      repository: fc.array(component, { minLength: 2, maxLength: 4 }).map((parts) => parts.join('/')),
      tag: fc.option(fc.stringMatching(/^\w[\w.-]{0,20}$/), { nil: undefined }),
      digest: fc.constantFrom(DIGEST, `sha512:${'0f'.repeat(64)}`),
    });
    fc.assert(
      fc.property(reference, (value) => {
        expect(parseImageReference(formatImageReference(value))).toEqual(value);
      }),
    );
  });

  it('throws only its own error, whatever it gets', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('a', 'A', '.', ':', '/', '@', '-', '_', '0') })),
        (text) => {
          try {
            const { repository } = parseImageReference(text);
            expect(isRepository(repository)).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(ImageReferenceError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('apiHostOf', () => {
  it('sends Docker Hub where its API is, and nobody else', () => {
    expect(apiHostOf('docker.io')).toBe('registry-1.docker.io');
    expect(apiHostOf('ghcr.io')).toBe('ghcr.io');
    expect(apiHostOf('localhost:5000')).toBe('localhost:5000');
  });
});

describe('isRepository', () => {
  it('takes no more than a moment for a long name', () => {
    const startedAt = performance.now();
    expect(isRepository(`${'a-'.repeat(120)}!`)).toBe(false);
    expect(isRepository('a-'.repeat(100_000))).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(200);
  });
});
