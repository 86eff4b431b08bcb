import { describe, expect, it } from '@jest/globals';
import type { OriginProbe, OriginRequest } from '@d7y/peer-engine';
import { Secret } from '@d7y/service-kit';
import { SharedProbes } from './shared-probes.ts';

const PROBE: OriginProbe = { contentLength: 1, acceptsRanges: true, headers: {} };
const active = () => new AbortController();
const requestOf = (change: Partial<OriginRequest> = {}): OriginRequest => ({
  ...{ url: 'http://registry.test/v2/a/blobs/x', headers: { accept: '*/*' }, credentials: {} },
  ...change,
});
const as = (token: string) => ({ authorization: new Secret(token) });

/** Probes that wait to be answered. */
function rig() {
  const asked: { request: OriginRequest; signal: AbortSignal; answer: PromiseWithResolvers<OriginProbe> }[] = [];
  const shared = new SharedProbes((request, { signal }) => {
    const answer = Promise.withResolvers<OriginProbe>();
    signal.addEventListener('abort', () => answer.reject(signal.reason as Error));
    asked.push({ request, signal, answer });
    return answer.promise;
  });
  return { asked, shared };
}

describe('SharedProbes', () => {
  it('asks once for all who want to know the same at the same time', async () => {
    const { asked, shared } = rig();
    const answers = Array.from({ length: 64 }, () => shared.ask(requestOf({ credentials: as('a') }), active()));
    expect(asked).toHaveLength(1);
    asked[0]?.answer.resolve(PROBE);
    expect(await Promise.all(answers)).toEqual(answers.map(() => PROBE));
  });

  it.each([
    ['another URL', { url: 'http://registry.test/v2/b/blobs/x' }],
    ['other headers', { headers: { accept: 'application/json' } }],
    ['other credentials', { credentials: as('b') }],
    ['no credentials', { credentials: {} }],
  ])('never answers with what was found for %s', async (_, change) => {
    const { asked, shared } = rig();
    const first = shared.ask(requestOf({ credentials: as('a') }), active());
    const second = shared.ask(requestOf({ credentials: as('a'), ...change }), active());
    expect(asked).toHaveLength(2);
    for (const { answer } of asked) answer.resolve(PROBE);
    await Promise.all([first, second]);
  });

  it('remembers no answer, good or bad', async () => {
    const { asked, shared } = rig();
    const failed = shared.ask(requestOf(), active());
    asked[0]?.answer.reject(new Error('refused'));
    await expect(failed).rejects.toThrow('refused');
    const again = shared.ask(requestOf(), active());
    asked[1]?.answer.resolve(PROBE);
    await again;
    void shared.ask(requestOf(), active());
    expect(asked).toHaveLength(3);
  });

  it('goes on when one of its callers leaves, and stops with the last', async () => {
    const { asked, shared } = rig();
    const [first, second] = [new AbortController(), new AbortController()];
    const answers = [shared.ask(requestOf(), first), shared.ask(requestOf(), second)];
    first.abort(new Error('the first left'));
    await expect(answers[0]).rejects.toThrow('the first left');
    expect(asked[0]?.signal.aborted).toBe(false);
    second.abort(new Error('the second left'));
    await expect(answers[1]).rejects.toThrow('the second left');
    expect(asked[0]?.signal.aborted).toBe(true);
    void shared.ask(requestOf(), active());
    expect(asked).toHaveLength(2);
  });
});
