import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import { OriginStatusError, type OriginRequest } from '@d7y/peer-engine';
import { REGISTRY_PROXY_DEFAULTS, RegistryKnowledge } from '@d7y/registry-proxy';
import { Secret } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { authorisedTaskRequest } from './task-request-message.ts';

const DIGEST = `sha256:${'d'.repeat(64)}`;
const url = `https://registry.test/v2/team/x/blobs/${DIGEST}`;
const robot = { authorization: new Secret('Basic robot') };
const signal = new AbortController().signal;

/** A registry that only the robot may read. */
function accessOf(nodeCredentials: typeof robot | undefined) {
  const asked: (string | undefined)[] = [];
  const answer = ({ url: of, credentials }: OriginRequest) => {
    const authorization = credentials['authorization']?.reveal();
    asked.push(authorization);
    if (authorization !== 'Basic robot') throw new OriginStatusError(of, 401, { 'www-authenticate': 'Basic' });
    return Promise.resolve({ contentLength: 1, acceptsRanges: true, headers: {} });
  };
  const { access } = new RegistryKnowledge({
    origin: { head: async (request) => answer(request), probe: async (request) => answer(request) },
    config: REGISTRY_PROXY_DEFAULTS,
    ...(nodeCredentials === undefined ? {} : { nodeCredentials: () => nodeCredentials }),
  });
  return { access, asked };
}

const triggered = () =>
  create(common.DownloadSchema, {
    ...{ url, priority: common.Priority.LEVEL3, needBackToSource: true, enableTaskIdBasedBlobDigest: true },
  });

describe('a seed that is told to fetch private content', () => {
  it('does so as the account that it has of its own', async () => {
    const { access, asked } = accessOf(robot);
    const request = await authorisedTaskRequest(triggered(), access, { signal });
    expect(request.credentials['authorization']?.reveal()).toBe('Basic robot');
    expect(request).toMatchObject({ priority: 3, isAccepted: true, needBackToSource: true });
    // Private content has an id of its address: its digest alone would be found through any repository.
    expect(request.enableTaskIdBasedBlobDigest).toBe(false);
    expect(asked).toEqual([undefined, 'Basic robot']);
  });

  it('leaves it to the origin to refuse when it has none', async () => {
    const { access } = accessOf(undefined);
    const request = await authorisedTaskRequest(triggered(), access, { signal });
    expect(request).toMatchObject({ credentials: {}, isAccepted: false });
  });
});

describe('a download with authorities of its caller', () => {
  const named = () => create(common.DownloadSchema, { url, enableTaskIdBasedBlobDigest: true });

  it('is asked for with them, and not as the account of this node', async () => {
    const { access, asked } = accessOf(robot);
    const request = await authorisedTaskRequest(named(), access, { signal, authorities: 'pem' });
    expect(request).toMatchObject({ authorities: 'pem', credentials: {}, isAccepted: false });
    expect(asked).toEqual([]);
    // Without any the account counts.
    const own = await authorisedTaskRequest(named(), access, { signal });
    expect(own).toMatchObject({ authorities: undefined, isAccepted: true });
    expect(asked).toEqual([undefined, 'Basic robot']);
  });

  it('is judged by what that origin says to this caller, for this request alone', async () => {
    const { access, asked } = accessOf(undefined);
    const download = { ...named(), requestHeader: { Authorization: 'Basic robot' } };
    for (const authorities of ['pem', 'pem']) {
      const request = await authorisedTaskRequest(download, access, { signal, authorities });
      expect(request).toMatchObject({ authorities, isAccepted: true, priority: 3, enableTaskIdBasedBlobDigest: false });
    }
    expect(asked).toEqual([undefined, 'Basic robot', undefined, 'Basic robot']);
    expect(access.rememberedCallers().accepted).toEqual([]);
  });
});

describe('a daemon that is to keep private content for others', () => {
  const kept = () =>
    create(common.DownloadSchema, {
      ...{ url, priority: common.Priority.LEVEL3, disableBackToSource: true, enableTaskIdBasedBlobDigest: true },
    });

  it('takes it from the swarm without asking the origin, for nobody to read through this call', async () => {
    const { access, asked } = accessOf(undefined);
    const request = await authorisedTaskRequest(kept(), access, { signal, isForStore: true });
    expect(request).toMatchObject({ credentials: {}, isAccepted: true, priority: 3, disableBackToSource: true });
    expect(request.enableTaskIdBasedBlobDigest).toBe(false);
    expect(asked).toEqual([]);
  });

  it.each<[string, boolean, object]>([
    ['wants the bytes', false, {}],
    ['would have the origin asked', true, { disableBackToSource: false }],
    ['does not say that it is private', true, { priority: common.Priority.LEVEL0 }],
    ['has it fetched from the origin', true, { needBackToSource: true }],
  ])('is not believed by a caller who %s', async (_what, isForStore, change) => {
    const { access } = accessOf(undefined);
    const download = { ...kept(), ...change };
    expect(await authorisedTaskRequest(download, access, { signal, isForStore })).toMatchObject({ isAccepted: false });
  });
});
