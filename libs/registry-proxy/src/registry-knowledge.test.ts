import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '@d7y/service-kit';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeOrigin } from './_fakes.ts';
import { REGISTRY_PROXY_DEFAULTS } from './config.ts';
import { tagRecord } from './conformance/index.ts';
import { RegistryKnowledge } from './registry-knowledge.ts';

let dir: string;
let warnings: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'd7y-knowledge-'));
  warnings = [];
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

const path = () => join(dir, 'registries.json');
const open = (origin = new FakeOrigin(), nowMs = 2_000_000_000_000) =>
  RegistryKnowledge.open(path(), {
    ...{ origin, config: REGISTRY_PROXY_DEFAULTS, clock: () => nowMs },
    logger: { warn: (_fields, message) => void warnings.push(message) },
  });

describe('what is known of registries', () => {
  it('is known again after a restart', async () => {
    {
      await using knowledge = await open();
      knowledge.tags.setPublic(tagRecord(), tagRecord(), tagRecord().seenAtMs);
      knowledge.access.visibility.set('https://a.test', 'open', { state: 'public' }, 1_999_999_990_000);
      knowledge.access.visibility.set('https://a.test', 'shut', { state: 'private', challenge: 'Basic realm="a"' });
    }
    await using knowledge = await open();
    expect(knowledge.newestTags()).toEqual([tagRecord()]);
    expect(knowledge.access.visibility.whenDown('https://a.test', 'open')).toEqual({ state: 'public' });
    expect(knowledge.access.visibility.whenDown('https://a.test', 'shut')?.state).toBe('private');
    expect(knowledge.bases.challengeWhenDown('https://a.test')).toBe('Basic realm="a"');
    expect(await readdir(dir)).toEqual(['registries.json']);
  });

  it('holds of a caller only that somebody with the same proof was accepted, as long as that counts', async () => {
    const origin = new FakeOrigin();
    origin.answer = ({ credentials }) => (Object.keys(credentials).length > 0 ? 200 : 401);
    const request = {
      url: 'https://a.test/v2/shut/blobs/sha256:1',
      ...{ upstream: 'https://a.test', scope: 'shut', digest: 'sha256:1', headers: {}, signature: [] },
      credentials: { authorization: new Secret('Basic planted-secret') },
    };
    {
      await using knowledge = await open(origin);
      await knowledge.access.decide(request, { signal: AbortSignal.timeout(5000) });
      knowledge.tags.setPrivate(tagRecord(), knowledge.access.identityOf(request), tagRecord());
      expect(knowledge.access.wasAccepted(request, 'sha256:1')).toBe(true);
    }
    const text = await readFile(path(), 'utf8');
    expect(text).toContain('shut');
    for (const secret of ['planted', 'sha256:', 'nginx']) expect(text).not.toContain(secret);
    expect((await stat(path())).mode & 0o777).toBe(0o600);
    {
      await using knowledge = await open(origin);
      expect(knowledge.access.wasAccepted(request, 'sha256:1')).toBe(true);
      expect(knowledge.access.wasAccepted(request, 'sha256:2')).toBe(false);
      const stranger = { ...request, credentials: { authorization: new Secret('Basic other') } };
      expect(knowledge.access.wasAccepted(stranger, 'sha256:1')).toBe(false);
      // With the registry down it is let in, and nobody else.
      origin.answer = () => 503;
      const { decide } = knowledge.access;
      const signal = AbortSignal.timeout(5000);
      expect(await decide.call(knowledge.access, request, { signal })).toMatchObject({ isPrivate: true });
      await expect(decide.call(knowledge.access, stranger, { signal })).rejects.toThrow();
    }
    const tooLate = 2_000_000_000_000 + REGISTRY_PROXY_DEFAULTS.acceptedWhenDownMs + 1;
    await using knowledge = await open(origin, tooLate);
    expect(knowledge.access.wasAccepted(request, 'sha256:1')).toBe(false);
  });

  it.each([
    ['cut off', '{"version":1,"tags":[{"regis'],
    ['of another version', '{"version":2,"tags":[],"repositories":[],"registries":[]}'],
    ['hostile', '{"version":1,"tags":[{"__proto__":{}}],"repositories":{},"registries":[]}'],
    ['empty', ''],
  ])('begins anew when its file is %s', async (_name, text) => {
    await writeFile(path(), text);
    {
      await using knowledge = await open();
      expect(knowledge.newestTags()).toEqual([]);
      expect(warnings).toEqual(['what was remembered of registries is unreadable']);
      knowledge.tags.setPublic(tagRecord(), tagRecord());
    }
    await using knowledge = await open();
    expect(knowledge.newestTags()).toHaveLength(1);
  });

  it('is not lost, and nothing fails, when the disk takes no more', async () => {
    const knowledge = await open();
    await rm(dir, { recursive: true });
    knowledge.tags.setPublic(tagRecord(), tagRecord());
    await knowledge[Symbol.asyncDispose]();
    expect(warnings).toEqual(['registries cannot be remembered on disk']);
    expect(knowledge.newestTags()).toHaveLength(1);
  });
});
