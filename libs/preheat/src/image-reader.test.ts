import { createHash } from 'node:crypto';
import { OriginStatusError, OriginUnreachableError } from '@d7y/peer-engine';
import { Secret, UpstreamGuard } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { ImageReader, type PlatformChoice, type PreheatOrigin } from './image-reader.ts';
import { manifestUrlOf } from './manifest-url.ts';
import type { OriginAccess } from './request.ts';

const ALWAYS = { signal: new AbortController().signal };
const NOBODY: OriginAccess = { headers: {}, credentials: {}, certificateChain: [], tls: {} };
const SOMEBODY: OriginAccess = { ...NOBODY, credentials: { authorization: new Secret('Basic planted') } };
const PREFIX = 'https://r.example/v2/team/app';
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** A registry in memory: documents by reference, for all or for one account. */
class Documents {
  readonly byReference = new Map<string, string>();
  isPrivate = false;
  readonly asked: string[] = [];

  add(document: object, reference?: string): { digest: string; size: number } {
    const text = JSON.stringify({ schemaVersion: 2, ...document });
    this.byReference.set(reference ?? digestOf(text), text);
    return { digest: digestOf(text), size: text.length };
  }

  manifest(name: string, layers: readonly { mediaType?: string; digest: string; size: number }[]) {
    return this.add({ config: blob(`configuration of ${name}`), layers });
  }

  reader(
    guard = new UpstreamGuard(),
    {
      insecureRegistries = [],
      wrap = (origin) => origin,
    }: { insecureRegistries?: readonly string[]; wrap?: (origin: PreheatOrigin) => PreheatOrigin } = {},
  ): ImageReader {
    const answer = (url: string, credentials: object): string => {
      this.asked.push(`${'authorization' in credentials ? 'somebody' : 'nobody'} ${url.slice(PREFIX.length)}`);
      if (this.isPrivate && !('authorization' in credentials)) throw new OriginStatusError(url, 401, {});
      const text = this.byReference.get(url.split('/manifests/')[1] ?? '');
      if (text === undefined && !url.includes('/blobs/')) throw new OriginStatusError(url, 404, {});
      return text ?? '';
    };
    const origin: PreheatOrigin = {
      probe: () => Promise.reject(new TypeError('not asked')),
      head: async ({ url, credentials }) => answer(url, credentials),
      fetch: async ({ url, credentials }) => {
        const bytes = Buffer.from(answer(url, credentials));
        return {
          chunks: (async function* () {
            yield bytes;
          })(),
        };
      },
      knownAuthorization: (_url, account) => (account === undefined ? undefined : new Secret('Bearer fresh')),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    return new ImageReader({
      guard,
      createOrigin: () => wrap(origin),
      remedy: 'see the remedy',
      insecureRegistries,
    });
  }

  async resolve(choice: PlatformChoice = { platforms: ['linux/amd64'] }, access = NOBODY, reference = 'latest') {
    return await this.reader().resolve(`${PREFIX}/manifests/${reference}`, choice, access, ALWAYS);
  }
}

const blob = (text: string, mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip') => ({
  mediaType,
  digest: digestOf(text),
  size: text.length,
});

/** An image for amd64 and two variants of arm, which share a layer. */
function multiArch(): Documents {
  const documents = new Documents();
  const entry = (name: string, architecture: string, variant?: string) => ({
    ...documents.manifest(name, [blob('shared'), blob(`layer of ${name}`), blob('shared')]),
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    platform: { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) },
  });
  const manifests = [entry('amd64', 'amd64'), entry('v6', 'arm', 'v6'), entry('v7', 'arm', 'v7')];
  documents.add({ manifests }, 'latest');
  return documents;
}

describe('ImageReader', () => {
  it('names every blob of the wanted platforms once, with the platforms that need it', async () => {
    const { files } = await multiArch().resolve({ platforms: ['linux/amd64', 'linux/arm/v7'] });
    expect(files.map(({ digest, platforms }) => [digest, platforms])).toEqual([
      [digestOf('configuration of amd64'), ['linux/amd64']],
      [digestOf('shared'), ['linux/amd64', 'linux/arm/v7']],
      [digestOf('layer of amd64'), ['linux/amd64']],
      [digestOf('configuration of v7'), ['linux/arm/v7']],
      [digestOf('layer of v7'), ['linux/arm/v7']],
    ]);
    expect(files[0]?.url).toBe(`${PREFIX}/blobs/${digestOf('configuration of amd64')}`);
  });

  it('does without a platform that the image lacks only where that is allowed', async () => {
    const platforms = ['linux/amd64', 'linux/s390x'];
    await expect(multiArch().resolve({ platforms })).rejects.toThrow(
      'not there for linux/s390x, only for linux/amd64, linux/arm, linux/arm',
    );
    expect((await multiArch().resolve({ platforms, mayLack: true })).files).toHaveLength(3);
    await expect(multiArch().resolve({ platforms: ['linux/s390x'], mayLack: true })).rejects.toThrow('linux/s390x');
  });

  it('leaves out layers that registries do not have', async () => {
    const documents = new Documents();
    const foreign = blob('windows', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip');
    const nondistributable = blob('secret', 'application/vnd.oci.image.layer.nondistributable.v1.tar');
    documents.add({ config: blob('configuration'), layers: [foreign, nondistributable, blob('ours')] }, 'latest');
    const { files } = await documents.resolve();
    expect(files.map(({ digest }) => digest)).toEqual([digestOf('configuration'), digestOf('ours')]);
  });

  it('refuses a document that has not the digest by which it was asked for', async () => {
    const documents = new Documents();
    const { digest } = documents.manifest('real', []);
    documents.byReference.set(digest, JSON.stringify({ schemaVersion: 2, config: blob('false'), layers: [] }));
    await expect(documents.resolve(undefined, NOBODY, digest)).rejects.toThrow('has another digest');
  });

  it('refuses indexes below indexes below indexes, and what is too long', async () => {
    const documents = new Documents();
    const platform = { os: 'linux', architecture: 'amd64' };
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    let below: object = { ...documents.manifest('deep', []), platform, mediaType };
    for (let depth = 0; depth < 2; depth++) below = { ...documents.add({ manifests: [below] }), platform, mediaType };
    documents.add({ manifests: [below] }, 'latest');
    await expect(documents.resolve()).rejects.toThrow('indexes of indexes');
    documents.byReference.set('latest', ' '.repeat(5_000_000));
    await expect(documents.resolve()).rejects.toThrow('too long');
  });

  it('does not use credentials where everybody may read', async () => {
    const documents = multiArch();
    const { isPrivate, credentials } = await documents.resolve(undefined, SOMEBODY);
    expect({ isPrivate, credentials }).toEqual({ isPrivate: false, credentials: {} });
    expect(documents.asked.every((line) => line.startsWith('nobody'))).toBe(true);
  });

  it('gives the fetcher of private content the token that the registry gave now', async () => {
    const documents = multiArch();
    documents.isPrivate = true;
    await expect(documents.resolve()).rejects.toThrow('the origin answered 401');
    const { isPrivate, credentials } = await documents.resolve(undefined, SOMEBODY);
    expect([isPrivate, credentials['authorization']?.reveal()]).toEqual([true, 'Bearer fresh']);
    const standing = await documents.reader().standing(`${PREFIX}/blobs/${digestOf('shared')}`, SOMEBODY, ALWAYS);
    expect([standing.isPrivate, standing.credentials['authorization']?.reveal()]).toEqual([true, 'Bearer fresh']);
  });

  it('asks nothing that the guard refuses, and says what to configure', async () => {
    const documents = multiArch();
    const reader = documents.reader(new UpstreamGuard({ allow: ['ghcr.io'] }));
    await expect(reader.resolve(`${PREFIX}/manifests/latest`, { platforms: [] }, NOBODY, ALWAYS)).rejects.toThrow(
      'see the remedy',
    );
    expect(documents.asked).toEqual([]);
  });
});

describe('an image that is named without a scheme', () => {
  /** A registry that speaks http only, and how it was asked. */
  class PlainOnly extends Documents {
    /** What meets a TLS connection. */
    tlsError: Error = failure('ERR_SSL_WRONG_VERSION_NUMBER');
    readonly sentInClear: string[] = [];

    async resolveAt(url: string, { access = NOBODY, insecureRegistries = [] as string[], isBare = true } = {}) {
      const { tlsError, sentInClear } = this;
      const inner = (ask: PreheatOrigin['fetch']): PreheatOrigin['fetch'] => {
        return async (request, range, options) => {
          if (request.url.startsWith('https:'))
            throw new OriginUnreachableError(request.url, 'no', { cause: tlsError });
          sentInClear.push(...Object.keys(request.credentials));
          return await ask(request, range, options);
        };
      };
      const reader = this.reader(undefined, { insecureRegistries, wrap: (o) => ({ ...o, fetch: inner(o.fetch) }) });
      return await reader.resolve(url, { platforms: ['linux/amd64'] }, access, { ...ALWAYS, isBare });
    }
  }

  const failure = (code: string) => Object.assign(new Error('no'), { code });
  const LOOPBACK = 'https://127.0.0.1:5000/v2/team/app/manifests/latest';
  const DECLARED = 'https://r.example:5000/v2/team/app/manifests/latest';

  function plainOnly(): PlainOnly {
    const documents = new PlainOnly();
    for (const [reference, text] of multiArch().byReference) documents.byReference.set(reference, text);
    return documents;
  }

  it.each([
    ['this machine', LOOPBACK, []],
    ['this machine by name', LOOPBACK.replace('127.0.0.1', 'localhost'), []],
    ['this machine by IPv6', LOOPBACK.replace('127.0.0.1', '[::1]'), []],
    ['a host that is declared', DECLARED, ['r.example:5000']],
  ])('is read by http at %s where no TLS is spoken', async (_where, url, insecureRegistries) => {
    const { files } = await plainOnly().resolveAt(url, { insecureRegistries });
    const prefix = url.replace('https:', 'http:').replace('/manifests/latest', '/blobs/');
    expect(files.map((file) => file.url.startsWith(prefix))).toEqual([true, true, true]);
  });

  it.each([
    ['at a host that nobody declared', DECLARED, {}],
    ['at another port of a host than was declared', DECLARED, { insecureRegistries: ['r.example:80'] }],
    ['where its URL says https', LOOPBACK, { isBare: false }],
  ])('is not read in clear %s', async (_where, url, options) => {
    await expect(plainOnly().resolveAt(url, options)).rejects.toMatchObject({ code: 'ORIGIN_UNREACHABLE' });
  });

  it.each(['DEPTH_ZERO_SELF_SIGNED_CERT', 'ETIMEDOUT', 'ECONNREFUSED'])(
    'is not read in clear after %s',
    async (code) => {
      const documents = plainOnly();
      documents.tlsError = failure(code);
      await expect(documents.resolveAt(LOOPBACK)).rejects.toMatchObject({ code: 'ORIGIN_UNREACHABLE' });
      expect(documents.asked).toEqual([]);
    },
  );

  it('is read by http where no port is named and nobody listens at that of https', async () => {
    const documents = plainOnly();
    documents.tlsError = failure('ECONNREFUSED');
    expect((await documents.resolveAt(LOOPBACK.replace(':5000', ''))).files).toHaveLength(3);
  });

  it('takes credentials along in clear only to a host that is declared', async () => {
    const documents = plainOnly();
    documents.isPrivate = true;
    await expect(documents.resolveAt(LOOPBACK, { access: SOMEBODY })).rejects.toThrow('preheat.insecureRegistries');
    expect(documents.sentInClear).toEqual([]);
    const layer = LOOPBACK.replace('https:', 'http:').replace('manifests/latest', `blobs/${digestOf('shared')}`);
    const standing = await documents.reader().standing(layer, SOMEBODY, { ...ALWAYS, isBare: true });
    expect([standing, documents.sentInClear]).toEqual([{ isPrivate: false, credentials: {} }, []]);
    const insecureRegistries = ['127.0.0.1'];
    expect((await documents.resolveAt(LOOPBACK, { access: SOMEBODY, insecureRegistries })).isPrivate).toBe(true);
    expect(documents.sentInClear.length).toBeGreaterThan(0);
  });
});

describe('manifestUrlOf', () => {
  it.each([
    ['nginx', 'https://registry-1.docker.io/v2/library/nginx/manifests/latest'],
    ['docker.io/org/app:v1', 'https://registry-1.docker.io/v2/org/app/manifests/v1'],
    ['127.0.0.1:5000/app', 'https://127.0.0.1:5000/v2/app/manifests/latest'],
    [`ghcr.io/a/b@sha256:${'0'.repeat(64)}`, `https://ghcr.io/v2/a/b/manifests/sha256:${'0'.repeat(64)}`],
    ['http://h.example/v2/a/b/manifests/v2.0.5', 'http://h.example/v2/a/b/manifests/v2.0.5'],
  ])('makes a manifest URL of %s', (text, url) => {
    expect(manifestUrlOf(text)).toBe(url);
  });

  it.each([
    'https://h.example/a',
    'ftp://h.example/v2/a/manifests/b',
    'UPPER/..',
    'https://u:p@h.example/v2/a/manifests/b',
  ])('refuses %s', (text) => {
    expect(() => manifestUrlOf(text)).toThrow('url:');
  });
});
