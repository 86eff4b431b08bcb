import { createHash } from 'node:crypto';
import { cp, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { createLayout, pieceDigestOf } from '@d7y/piece';
import { readAll } from '@d7y/peer-engine/conformance';
import { openTestStore, scratchDirectory } from './_store-under-test.ts';
import { FORMAT_VERSION } from './sqlite-schema.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures', import.meta.url));
/** As _make-fixture.ts fills them. */
const CONTENT = Uint8Array.from({ length: 20_000 }, (_, position) => (position * 31 + (position >>> 8)) & 0xff);
const WRITTEN_AT_MS = 1_700_000_000_000;

const formats = (await readdir(FIXTURES)).map((name) => Number(/^format-(\d+)$/.exec(name)?.[1])).sort((a, b) => a - b);

it('has a fixture of every format', () => {
  expect(formats).toEqual(Array.from({ length: FORMAT_VERSION }, (_, index) => index + 1));
});

it.each(formats)('weakness 40: opens what a release with format %d wrote, and loses nothing of it', async (format) => {
  await using directory = await scratchDirectory();
  await cp(`${FIXTURES}/format-${format}`, directory.path, { recursive: true });
  // Twice: the second time it is in the format of this release.
  for (const _ of ['old', 'new']) {
    await using store = await openTestStore(directory.path, { clock: () => WRITTEN_AT_MS + 200_000 });
    const completeId = createHash('sha256').update(CONTENT.subarray(0, 10_000)).digest('hex');
    const [complete, partial, empty] = [completeId, '2'.repeat(64), '3'.repeat(64)].map((id) => store.get(id));
    expect([...store.list()]).toHaveLength(3);
    expect(complete?.responseHeaders).toEqual({ 'content-type': 'application/octet-stream', etag: '"five"' });
    expect(complete?.url).toBe(`https://registry.test/v2/app/blobs/sha256:${completeId}`);
    expect(complete?.layout).toEqual(createLayout(10_000, 4096));
    expect([complete?.isComplete, partial?.isComplete, empty?.isComplete]).toEqual([true, false, true]);
    expect([complete?.isPrivate, partial?.isPrivate]).toEqual([false, true]);
    expect(complete?.isPinned).toBe(format >= 2);
    expect([complete?.createdAtMs, partial?.usedAtMs]).toEqual([WRITTEN_AT_MS, WRITTEN_AT_MS + 60_000]);
    expect([...(partial?.finishedPieces ?? [])]).toEqual([0, 3]);
    for (const task of [complete, partial]) {
      for (const number of task?.finishedPieces ?? []) {
        const piece = task?.piece(number);
        const bytes = task && piece && (await readAll(task, piece.offset, piece.length));
        expect(bytes).toEqual(CONTENT.subarray(piece?.offset, (piece?.offset ?? 0) + (piece?.length ?? 0)));
        expect(piece?.digest).toBe(pieceDigestOf(bytes ?? Buffer.of()));
        expect(piece?.trafficType).toBe(number === 0 ? 'backToSource' : 'remotePeer');
        expect(piece?.parentId).toBe(number === 0 ? undefined : 'parent');
        if (format >= 2)
          expect(piece?.sha256).toBe(
            createHash('sha256')
              .update(bytes ?? '')
              .digest('hex'),
          );
        // What came from the origin; in format 1 also what is part of a whole that has matched its digest.
        expect(piece?.isVerified).toBe(number === 0 || (format === 1 && task === complete));
      }
    }
  }
});
