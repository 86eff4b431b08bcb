import { createHash } from 'node:crypto';
import { MANIFEST_MEDIA_TYPES } from '@d7y/oci';
import { OriginStatusError, OriginUnreachableError, type TaskRequest } from '@d7y/peer-engine';
import { describe, expect, it } from '@jest/globals';
import { type Answer, ask, FakeRegistry, type ProxyUnderTest, startProxy } from '../_fakes.ts';
import { RegistryKnowledge } from '../registry-knowledge.ts';
import { REGISTRY_PROXY_DEFAULTS } from '../config.ts';
import { MemoryTagDirectory } from '../testing/index.ts';
import { tagRecord } from '../conformance/index.ts';

const [MANIFEST = '', , INDEX = ''] = MANIFEST_MEDIA_TYPES;
const ALL = MANIFEST_MEDIA_TYPES.join(', ');
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const BLOB = digestOf(Buffer.from('a layer'));

const manifestOf = (...layers: string[]): Buffer =>
  Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(Buffer.from('{}')), size: 2 },
      layers: layers.map((digest) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 7 })),
    }),
  );

interface Repository {
  readonly tags: Record<string, Buffer>;
  /** Who may read it; undefined: anybody. */
  readonly token?: string;
  readonly blobs?: readonly string[];
}

/** A registry behind the fakes: it answers HEADs, and its manifests and blobs are what the engine brings. */
interface Scene extends AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  readonly repositories: Record<string, Repository>;
  readonly registry: FakeRegistry;
  readonly clock: { ms: number };
  readonly knowledge: RegistryKnowledge;
  readonly directory: MemoryTagDirectory;
  status: number;
  readonly headsOf: (path: string) => number;
  get(path: string, headers?: Record<string, string>, method?: string): Promise<Answer>;
}

async function startScene(
  repositories: Record<string, Repository>,
  { swarm, mode }: { swarm?: MemoryTagDirectory; mode?: 'public' | 'probe' | 'strict' } = {},
): Promise<Scene> {
  const registry = await FakeRegistry.start((_request, response) => {
    response.writeHead(418, { 'x-from': 'registry' }).end('the registry itself');
  });
  const { authority } = registry;
  const clock = { ms: 1_000_000 };
  const directory = new MemoryTagDirectory(swarm);
  const scene = { status: 200 };
  const find = (url: string) => {
    const [, name = '', kind, reference = ''] = /\/v2\/(.+)\/(manifests|blobs)\/(.+)$/.exec(url) ?? [];
    const repository = repositories[name];
    const bytes =
      kind === 'blobs'
        ? repository?.blobs?.includes(reference)
          ? Buffer.from('a layer')
          : undefined
        : (repository?.tags[reference] ??
          Object.values(repository?.tags ?? {}).find((manifest) => digestOf(manifest) === reference));
    return { repository, bytes };
  };
  let knowledge: RegistryKnowledge | undefined;
  const proxy = await startProxy({}, undefined, {
    tagDirectory: directory,
    knowledge: (origin) => {
      origin.answer = ({ url, credentials }) => {
        if (scene.status === 0) throw new OriginUnreachableError(url, 'connection refused');
        if (scene.status !== 200) return scene.status;
        const { repository, bytes } = find(url);
        const token = credentials['authorization']?.reveal().replace('Bearer ', '');
        if (repository?.token !== undefined && repository.token !== token) return token === undefined ? 401 : 403;
        return bytes === undefined ? 404 : 200;
      };
      origin.describe = ({ url }) => {
        const { bytes } = find(url);
        if (bytes === undefined) return {};
        return {
          contentLength: bytes.length,
          headers: { 'docker-content-digest': digestOf(bytes), 'content-type': MANIFEST },
        };
      };
      return (knowledge = new RegistryKnowledge({
        origin,
        config: REGISTRY_PROXY_DEFAULTS,
        clock: () => clock.ms,
        ...(mode === undefined ? {} : { mode }),
      }));
    },
  });
  // What the engine does with the origin: asks whether the caller may have it, unless it is here.
  const held = new Map<string, Buffer>();
  proxy.engine.task = (request: TaskRequest) => {
    const id = request.contentForCalculatingTaskId ?? request.url;
    let content = held.get(id);
    const fromCache = content !== undefined;
    if (content === undefined) {
      if (scene.status === 0) throw new OriginUnreachableError(request.url, 'connection refused');
      const status = proxy.origin.answer(request);
      if (status !== 200) throw new OriginStatusError(request.url, status, {});
      content = find(request.url).bytes ?? Buffer.alloc(0);
      held.set(id, content);
    }
    return { content, fromCache, responseHeaders: {} };
  };
  if (knowledge === undefined) throw new Error('the proxy took no knowledge');
  return Object.assign(scene, {
    ...{ proxy, repositories, registry, clock, directory, knowledge },
    headsOf: (path: string) => proxy.origin.heads.filter(({ url }) => url.endsWith(path)).length,
    get: (path: string, headers: Record<string, string> = {}, method = 'GET') =>
      ask(proxy.port, `${path}?ns=${authority}`, { method, headers: { accept: ALL, ...headers } }),
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      if (registry.isListening) await registry[Symbol.asyncDispose]();
    },
  });
}

const good = { authorization: 'Bearer good' };
const V1 = manifestOf(BLOB);
const V2 = manifestOf();

describe('a tag', () => {
  it('is asked of the registry by HEAD once, and its manifest fetched once, however many ask at once', async () => {
    await using scene = await startScene({ app: { tags: { v1: V1 } } });
    const answers = await Promise.all(Array.from({ length: 64 }, () => scene.get('/v2/app/manifests/v1')));
    for (const { status, body } of answers) expect([status, body.equals(V1)]).toEqual([200, true]);
    expect(scene.proxy.origin.heads).toHaveLength(1);
    expect(scene.registry.requests).toHaveLength(0);
    const ids = scene.proxy.engine.requests.map(({ contentForCalculatingTaskId }) => contentForCalculatingTaskId);
    expect(new Set(ids)).toEqual(new Set([`manifest ${digestOf(V1)}`]));
  });

  it('is answered with digest, type, length and ETag, to HEAD as to GET', async () => {
    await using scene = await startScene({ app: { tags: { v1: V1 } } });
    const expected = {
      'docker-content-digest': digestOf(V1),
      'content-type': MANIFEST,
      'content-length': String(V1.length),
      etag: `"${digestOf(V1)}"`,
    };
    const head = await scene.get('/v2/app/manifests/v1', {}, 'HEAD');
    expect(head.headers).toMatchObject(expected);
    expect(head.body).toHaveLength(0);
    expect(scene.proxy.engine.requests).toHaveLength(0);
    expect((await scene.get('/v2/app/manifests/v1')).headers).toMatchObject(expected);
    expect(scene.proxy.origin.heads).toHaveLength(1);
  });

  it('weakness 19: is asked for again when its time is over, and what it means then is served', async () => {
    await using scene = await startScene({ app: { tags: { v1: V1 } } });
    await scene.get('/v2/app/manifests/v1');
    scene.repositories['app'] = { tags: { v1: V2 } };
    expect((await scene.get('/v2/app/manifests/v1')).headers['docker-content-digest']).toBe(digestOf(V1));
    scene.clock.ms += REGISTRY_PROXY_DEFAULTS.tagTtlMs + 1;
    expect((await scene.get('/v2/app/manifests/v1')).headers['docker-content-digest']).toBe(digestOf(V2));
    expect(scene.headsOf('/manifests/v1')).toBe(2);
  });

  it('is not shared by callers who accept different types', async () => {
    await using scene = await startScene({ app: { tags: { v1: V1 } } });
    await scene.get('/v2/app/manifests/v1', { accept: MANIFEST });
    await scene.get('/v2/app/manifests/v1', { accept: INDEX });
    expect(scene.proxy.origin.heads.map(({ headers }) => headers['accept'])).toEqual([MANIFEST, INDEX]);
  });

  it.each([0, 429, 500, 503])('is served as it was last known while the registry is down (%i)', async (status) => {
    await using scene = await startScene({ app: { tags: { v1: V1 } } });
    await scene.get('/v2/app/manifests/v1');
    scene.status = status;
    scene.clock.ms += 7 * 24 * 3600_000;
    const answer = await scene.get('/v2/app/manifests/v1');
    expect([answer.status, answer.body.equals(V1)]).toEqual([200, true]);
    expect(scene.registry.requests).toHaveLength(0);
    scene.clock.ms += REGISTRY_PROXY_DEFAULTS.tagStaleTtlMs;
    expect((await scene.get('/v2/app/manifests/v1')).headers['x-from']).toBe('registry');
  });

  it('keeps nobody waiting for a registry that was down a moment ago', async () => {
    await using scene = await startScene({ app: { tags: { v1: V1 } } });
    await scene.get('/v2/app/manifests/v1');
    scene.status = 0;
    scene.clock.ms += 60_000;
    await scene.get('/v2/app/manifests/v1');
    await scene.get('/v2/app/manifests/v1');
    await scene.get('/v2/app/manifests/v1', {}, 'HEAD');
    expect(scene.headsOf('/manifests/v1')).toBe(2);
  });

  it('is found in the swarm by a node that never saw it, while the registry is down', async () => {
    const swarm = new MemoryTagDirectory();
    await using other = await startScene({ app: { tags: { v1: V1 } } }, { swarm });
    await other.get('/v2/app/manifests/v1', {}, 'HEAD');
    expect(other.directory.recorded).toMatchObject([{ repository: 'app', tag: 'v1', digest: digestOf(V1) }]);
    await using scene = await startScene({}, { swarm });
    scene.status = 0;
    scene.clock.ms += 1000;
    for (const record of other.directory.recorded) {
      swarm.record({ ...record, registry: `http://${scene.registry.authority}` });
    }
    const answer = await scene.get('/v2/app/manifests/v1', good, 'HEAD');
    expect([answer.status, answer.headers['docker-content-digest']]).toEqual([200, digestOf(V1)]);
    // The repository counts as public from now on, for its blobs too.
    expect(scene.knowledge.access.visibility.whenDown(`http://${scene.registry.authority}`, 'app')).toEqual({
      state: 'public',
    });
  });

  it('is not believed when what the swarm says of it cannot be a manifest', async () => {
    await using scene = await startScene({});
    scene.status = 0;
    const registry = `http://${scene.registry.authority}`;
    const key = { registry, repository: 'app', tag: 'v1', accept: [...MANIFEST_MEDIA_TYPES].sort().join(',') };
    scene.directory.record(tagRecord({ ...key, digest: 'sha256:../../etc' }));
    scene.directory.record(tagRecord({ ...key, mediaType: 'text/html' }));
    scene.directory.record(tagRecord({ ...key, size: 5 * 2 ** 20 }));
    expect((await scene.get('/v2/app/manifests/v1', {}, 'HEAD')).status).toBe(418);
  });
});

describe('what the registry should say itself', () => {
  it.each([
    ['a tag that does not exist', '/v2/app/manifests/nope', {}],
    ['a private repository asked for by nobody in particular', '/v2/secret/manifests/v1', {}],
    ['a private repository asked for by a stranger', '/v2/secret/manifests/v1', { authorization: 'Bearer bad' }],
    ['an Accept header that nobody understands', '/v2/app/manifests/v1', { accept: 'nonsense' }],
    ['a manifest that is longer than manifests are', '/v2/huge/manifests/v1', {}],
  ])('is passed through untouched: %s', async (_name, path, headers: Record<string, string>) => {
    await using scene = await startScene({
      app: { tags: { v1: V1 } },
      secret: { tags: { v1: V1 }, token: 'good' },
      huge: { tags: { v1: Buffer.alloc(5 * 2 ** 20) } },
    });
    const answer = await scene.get(path, headers);
    expect([answer.status, answer.headers['x-from']]).toEqual([418, 'registry']);
    const [request] = scene.registry.requests;
    expect(request?.headers['authorization']).toBe(headers['authorization']);
  });

  it('is asked of it when a task holds other bytes than its digest says', async () => {
    await using scene = await startScene({ app: { tags: { v1: V1 } } });
    scene.proxy.engine.task = { content: Buffer.from('planted') };
    expect((await scene.get('/v2/app/manifests/v1')).headers['x-from']).toBe('registry');
  });
});

describe('weakness 8: private content', () => {
  const repositories = () => ({
    'team/x': { tags: { v1: V1 }, token: 'good', blobs: [BLOB] },
    'team/y': { tags: { v1: V2 }, token: 'other' },
  });

  it('is served to whom the registry accepts, and its tags are told to nobody', async () => {
    await using scene = await startScene(repositories());
    const answer = await scene.get('/v2/team/x/manifests/v1', good);
    expect([answer.status, answer.body.equals(V1)]).toEqual([200, true]);
    expect(scene.directory.recorded).toEqual([]);
    expect(scene.proxy.engine.requests[0]).toMatchObject({ priority: 3, isAccepted: true });
    expect(JSON.stringify([...scene.knowledge.tags.remembered()])).toBe('[]');
  });

  it('has ids in the swarm that no other repository shares', async () => {
    await using scene = await startScene(repositories());
    await scene.get('/v2/team/x/manifests/v1', good);
    const [request] = scene.proxy.engine.requests;
    expect(request?.contentForCalculatingTaskId).toBe(
      `manifest http://${scene.registry.authority}/team/x@${digestOf(V1)}`,
    );
  });

  it('is served without further questions when it stands in a manifest that this caller got', async () => {
    await using scene = await startScene(repositories());
    await scene.get('/v2/team/x/manifests/v1', good);
    expect((await scene.get(`/v2/team/x/blobs/${BLOB}`, good)).status).toBe(200);
    expect(scene.headsOf(BLOB)).toBe(0);
  });

  it('is not read by digest with another identity', async () => {
    await using scene = await startScene(repositories());
    await scene.get('/v2/team/x/manifests/v1', good);
    await scene.get(`/v2/team/x/blobs/${BLOB}`, good);
    expect((await scene.get(`/v2/team/x/blobs/${BLOB}`, { authorization: 'Bearer other' })).status).toBe(403);
    expect((await scene.get(`/v2/team/x/manifests/${digestOf(V1)}`, { authorization: 'Bearer other' })).status).toBe(
      418,
    );
  });

  it('is not read through another repository', async () => {
    await using scene = await startScene(repositories());
    await scene.get('/v2/team/x/manifests/v1', good);
    await scene.get(`/v2/team/x/blobs/${BLOB}`, good);
    const other = { authorization: 'Bearer other' };
    expect((await scene.get('/v2/team/y/manifests/v1', other)).status).toBe(200);
    expect((await scene.get(`/v2/team/y/blobs/${BLOB}`, other)).status).toBe(404);
    expect((await scene.get(`/v2/team/y/manifests/${digestOf(V1)}`, other)).status).toBe(418);
  });

  it('is not read by who came after the tag moved, unless the registry accepts it for that very blob', async () => {
    await using scene = await startScene(repositories());
    await scene.get('/v2/team/x/manifests/v1', good);
    scene.repositories['team/x'] = { tags: { v1: V2 }, token: 'new', blobs: [] };
    scene.clock.ms += REGISTRY_PROXY_DEFAULTS.acceptedTtlMs + 1;
    const late = { authorization: 'Bearer new' };
    expect((await scene.get('/v2/team/x/manifests/v1', late)).headers['docker-content-digest']).toBe(digestOf(V2));
    expect((await scene.get(`/v2/team/x/blobs/${BLOB}`, late)).status).toBe(404);
  });

  it('stays with whom the registry accepted while it is down, for a time, and with nobody else', async () => {
    await using scene = await startScene(repositories());
    await scene.get('/v2/team/x/manifests/v1', good);
    await scene.get(`/v2/team/x/blobs/${BLOB}`, good);
    scene.status = 0;
    scene.clock.ms += 3600_000;
    expect((await scene.get('/v2/team/x/manifests/v1', good)).status).toBe(200);
    expect((await scene.get(`/v2/team/x/blobs/${BLOB}`, good)).status).toBe(200);
    const stranger = { authorization: 'Bearer bad' };
    expect((await scene.get('/v2/team/x/manifests/v1', stranger)).status).not.toBe(200);
    expect((await scene.get(`/v2/team/x/blobs/${BLOB}`, stranger)).status).not.toBe(200);
    scene.clock.ms += REGISTRY_PROXY_DEFAULTS.acceptedWhenDownMs;
    expect((await scene.get(`/v2/team/x/blobs/${BLOB}`, good)).status).not.toBe(200);
  });

  it('asks a caller without credentials for them while the registry is down, in its words', async () => {
    await using scene = await startScene(repositories());
    await scene.get('/v2/team/x/manifests/v1', good);
    scene.status = 0;
    await scene.registry[Symbol.asyncDispose]();
    const answer = await scene.get('/v2/team/x/manifests/v1', {}, 'HEAD');
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, 'Basic realm="fake"']);
  });

  it('does not take what it said while the registry was down for a new acceptance', async () => {
    await using scene = await startScene(repositories());
    await scene.get('/v2/team/x/manifests/v1', good);
    scene.status = 0;
    scene.clock.ms += REGISTRY_PROXY_DEFAULTS.acceptedWhenDownMs - 1000;
    await scene.get('/v2/team/x/manifests/v1', good);
    scene.clock.ms += 2000;
    expect((await scene.get(`/v2/team/x/blobs/${BLOB}`, good)).status).not.toBe(200);
  });

  it('is open to everybody when the operator says so', async () => {
    await using scene = await startScene(repositories(), { mode: 'public' });
    await scene.get('/v2/team/x/manifests/v1', good);
    await scene.get(`/v2/team/x/blobs/${BLOB}`, { authorization: 'Bearer bad' });
    expect(scene.proxy.engine.requests.at(-1)).toMatchObject({ isAccepted: true });
  });
});
