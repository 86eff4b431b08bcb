import { OriginStatusError, OriginUnreachableError } from '@d7y/peer-engine';
import { Secret } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { FakeOrigin } from '../_fakes.ts';
import { AccessPolicy } from './access-policy.ts';
import type { AccessRequest } from './access-request.ts';

const signal = new AbortController().signal;

function policy(origin: FakeOrigin) {
  const clock = { ms: 1 };
  const access = new AccessPolicy({
    origin,
    publicTtlMs: 1000,
    publicWhenDownMs: 10_000,
    acceptedTtlMs: 1000,
    acceptedWhenDownMs: 5_000,
    probeTimeoutMs: 1000,
    clock: () => clock.ms,
  });
  return { clock, access };
}

const request = (over: Partial<AccessRequest> & { token?: string } = {}): AccessRequest => {
  const scope = over.scope ?? 'team/x';
  const digest = over.digest ?? 'sha256:1';
  return {
    url: `https://registry.test/v2/${scope}/blobs/${digest}`,
    upstream: 'https://registry.test',
    headers: {},
    credentials: over.token === undefined ? {} : { authorization: new Secret(`Bearer ${over.token}`) },
    signature: over.signature ?? [],
    scope,
    digest,
  };
};

/** An origin with one private repository for one token. */
function privateOrigin(): FakeOrigin {
  const origin = new FakeOrigin();
  origin.answer = ({ url, credentials }) => {
    if (credentials['authorization']?.reveal() !== 'Bearer good') return 401;
    return url.includes('/team/x/') ? 200 : 404;
  };
  return origin;
}

describe('AccessPolicy', () => {
  it('leaves a caller without credentials to the engine', async () => {
    const origin = new FakeOrigin();
    const { access } = policy(origin);
    expect(await access.decide(request(), { signal })).toEqual({
      isPrivate: false,
      credentials: {},
      isAccepted: false,
    });
    expect(origin.probes).toHaveLength(0);
  });

  it('finds out once for all blobs of a repository that it is public, and again after a while', async () => {
    const origin = new FakeOrigin();
    const { access, clock } = policy(origin);
    await access.decide(request({ token: 't' }), { signal });
    await access.decide(request({ token: 'other', digest: 'sha256:2' }), { signal });
    expect(origin.probes).toHaveLength(1);
    clock.ms += 1001;
    await access.decide(request({ token: 't' }), { signal });
    expect(origin.probes).toHaveLength(2);
  });

  it('asks anew for each repository', async () => {
    const origin = new FakeOrigin();
    const { access } = policy(origin);
    await access.decide(request({ token: 't' }), { signal });
    await access.decide(request({ token: 't', scope: 'team/y' }), { signal });
    expect(origin.probes).toHaveLength(2);
  });

  it('remembers an accepted caller for one blob only', async () => {
    const origin = privateOrigin();
    const { access } = policy(origin);
    const first = await access.decide(request({ token: 'good' }), { signal });
    expect(first.isPrivate).toBe(true);
    expect(origin.probes).toHaveLength(2); // as nobody, then as the caller
    await access.decide(request({ token: 'good' }), { signal });
    expect(origin.probes).toHaveLength(2);
    await access.decide(request({ token: 'good', digest: 'sha256:2' }), { signal });
    expect(origin.probes).toHaveLength(3);
  });

  it('refuses a blob of repository x asked through y, as the origin does', async () => {
    const { access } = policy(privateOrigin());
    await access.decide(request({ token: 'good' }), { signal });
    const throughY = access.decide(request({ token: 'good', scope: 'team/y' }), { signal });
    await expect(throughY).rejects.toMatchObject({ status: 404 });
  });

  it('does not let one caller in on the word for another', async () => {
    const { access } = policy(privateOrigin());
    await access.decide(request({ token: 'good' }), { signal });
    await expect(access.decide(request({ token: 'bad' }), { signal })).rejects.toBeInstanceOf(OriginStatusError);
  });

  it('asks again once an acceptance is old', async () => {
    const origin = privateOrigin();
    const { access, clock } = policy(origin);
    await access.decide(request({ token: 'good' }), { signal });
    clock.ms += 1001;
    origin.answer = () => 401; // the token was revoked
    await expect(access.decide(request({ token: 'good' }), { signal })).rejects.toMatchObject({ status: 401 });
  });

  it('does not take a missing blob for a private repository', async () => {
    const origin = new FakeOrigin();
    origin.answer = ({ url }) => (url.endsWith('sha256:1') ? 404 : 200);
    const { access } = policy(origin);
    await expect(access.decide(request({ token: 't' }), { signal })).rejects.toMatchObject({ status: 404 });
    expect(await access.decide(request({ token: 't', digest: 'sha256:2' }), { signal })).toMatchObject({
      isPrivate: false,
    });
  });

  it('asks one question for callers who come together', async () => {
    const origin = privateOrigin();
    const { access } = policy(origin);
    await Promise.all(Array.from({ length: 8 }, () => access.decide(request({ token: 'good' }), { signal })));
    expect(origin.probes).toHaveLength(2);
  });

  it('takes the signature of a URL for the proof of its caller', async () => {
    const origin = new FakeOrigin();
    const { access } = policy(origin);
    const decision = await access.decide(request({ signature: ['X-Amz-Signature=1'] }), { signal });
    expect(decision.isPrivate).toBe(true);
    await access.decide(request({ signature: ['X-Amz-Signature=2'] }), { signal });
    expect(origin.probes).toHaveLength(2);
  });

  it('forgets what an origin said that only a caller vouches for, and tells it nothing of this node', async () => {
    const origin = new FakeOrigin();
    // Somebody else in place of the registry accepts everybody; the registry itself is private.
    origin.answer = ({ authorities, credentials }) =>
      authorities !== undefined || credentials['authorization']?.reveal() === 'Basic node' ? 200 : 401;
    const heard: string[] = [];
    const access = new AccessPolicy({
      ...{ origin, publicTtlMs: 1000, publicWhenDownMs: 10_000, acceptedTtlMs: 1000, acceptedWhenDownMs: 5_000 },
      probeTimeoutMs: 1000,
      nodeCredentials: () => ({ authorization: new Secret('Basic node') }),
      changed: () => void heard.push('changed'),
      challenged: () => void heard.push('challenged'),
    });
    const apart = access.apart('made up');
    const nobody = { isPrivate: false, credentials: {}, isAccepted: false };
    expect(await apart.decide(request(), { signal })).toEqual(nobody);
    expect(origin.probes).toEqual([]);
    expect(await apart.decide(request({ token: 't' }), { signal })).toEqual(nobody);
    expect(origin.probes).toMatchObject([{ authorities: 'made up', credentials: {} }]);
    expect([...access.visibility.remembered(), ...access.rememberedCallers().accepted, ...heard]).toEqual([]);
    // Neither does what is known of the registry decide about somebody else.
    await expect(access.decide(request({ token: 't' }), { signal })).rejects.toMatchObject({ status: 401 });
    expect(await access.decide(request(), { signal })).toMatchObject({ isPrivate: true, isAccepted: true });
    origin.answer = () => {
      throw new OriginUnreachableError('https://registry.test', 'it is down');
    };
    await expect(access.apart('made up').decide(request({ token: 't' }), { signal })).rejects.toThrow('it is down');
    expect(access.health.isDown('https://registry.test')).toBe(false);
  });

  it('stops waiting when the caller leaves, and lets the probe go on for others', async () => {
    const origin = new FakeOrigin();
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    const probe = origin.probe.bind(origin);
    origin.probe = async (asked) => {
      const result = await probe(asked);
      await answered;
      return result;
    };
    const { access } = policy(origin);
    const leaving = new AbortController();
    const left = access.decide(request({ token: 't' }), { signal: leaving.signal });
    const stayed = access.decide(request({ token: 't' }), { signal });
    leaving.abort(new Error('the client left'));
    await expect(left).rejects.toThrow('the client left');
    answer();
    expect(await stayed).toMatchObject({ isPrivate: false });
    expect(origin.probes).toHaveLength(1);
  });
});
