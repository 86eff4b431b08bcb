import { describe, expect, it } from '@jest/globals';
import type { TagDirectory, TagRecord } from '../manifests/tag-directory.ts';

/** The directories of two daemons in one swarm. */
export interface TagDirectoriesUnderTest extends AsyncDisposable {
  readonly one: TagDirectory;
  readonly other: TagDirectory;
  /** Resolves when everything that was recorded can be found. */
  settle(): Promise<void>;
  /** From now on `other` can ask nobody. */
  cutOff(): Promise<void>;
}

/** A record as a registry might have caused it. */
export function tagRecord(over: Partial<TagRecord> = {}): TagRecord {
  return {
    registry: 'https://registry-1.docker.io',
    repository: 'library/nginx',
    tag: 'latest',
    accept: 'application/vnd.oci.image.index.v1+json',
    digest: `sha256:${'a'.repeat(64)}`,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    size: 1234,
    seenAtMs: 1_700_000_000_000,
    ...over,
  };
}

/** What every TagDirectory promises. */
export function describeTagDirectory(name: string, setup: () => Promise<TagDirectoriesUnderTest>): void {
  const signal = new AbortController().signal;

  describe(`${name} as a tag directory`, () => {
    it('tells one daemon what another recorded', async () => {
      await using under = await setup();
      under.one.record(tagRecord());
      await under.settle();
      expect(await under.other.find(tagRecord(), { signal })).toEqual([tagRecord()]);
    });

    it('knows nothing of what nobody recorded', async () => {
      await using under = await setup();
      expect(await under.other.find(tagRecord(), { signal })).toEqual([]);
    });

    it.each([
      ['registry', 'https://ghcr.io'],
      ['repository', 'library/nginx2'],
      ['tag', 'stable'],
      ['accept', '*/*'],
    ])('does not mix up tags that differ in their %s', async (part, value) => {
      await using under = await setup();
      under.one.record(tagRecord({ [part]: value }));
      await under.settle();
      expect(await under.other.find(tagRecord(), { signal })).toEqual([]);
    });

    it('names the newest first when a tag moved', async () => {
      await using under = await setup();
      const older = tagRecord();
      const newer = tagRecord({ digest: `sha256:${'b'.repeat(64)}`, seenAtMs: older.seenAtMs + 1000 });
      under.one.record(newer);
      under.other.record(older);
      await under.settle();
      const [first] = await under.other.find(tagRecord(), { signal });
      expect(first).toEqual(newer);
    });

    it('answers with nothing, and does not throw, when nobody can be asked', async () => {
      await using under = await setup();
      under.one.record(tagRecord());
      await under.settle();
      await under.cutOff();
      under.other.record(tagRecord({ tag: 'other' }));
      expect(await under.other.find(tagRecord(), { signal })).toEqual([]);
    });
  });
}
