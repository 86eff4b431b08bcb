// Writes a small store in the format of this release: `node --conditions=@d7y/source src/_make-fixture.ts fixtures/format-<N>`.
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import type { StoredTask } from '@d7y/peer-engine';
import { createLayout, pieceDigestOf, pieceRange } from '@d7y/piece';
import { createLogger } from '@d7y/service-kit';
import { openPieceStore } from './open-piece-store.ts';

const [, , dir = ''] = process.argv;
let clock = 1_700_000_000_000;
const store = await openPieceStore({
  dir,
  keep: true,
  logger: createLogger({ name: 'fixture', level: 'silent' }),
  clock: () => clock,
});

/** Tells where in the content it is. */
function contentOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, position) => (position * 31 + (position >>> 8)) & 0xff);
}

async function writePieces(task: StoredTask, numbers: Iterable<number>): Promise<void> {
  const content = contentOf(task.layout.contentLength);
  for (const number of numbers) {
    const { start, length } = pieceRange(task.layout, number);
    const bytes = content.subarray(start, start + length);
    await task.write(start, [bytes]);
    task.recordPiece({
      number,
      offset: start,
      length,
      digest: pieceDigestOf(bytes),
      trafficType: number === 0 ? 'backToSource' : 'remotePeer',
      ...(number === 0 ? {} : { parentId: 'parent' }),
      sha256: createHash('sha256').update(bytes).digest('hex'),
      isVerified: number === 0,
      costMs: 5,
      createdAtMs: clock,
    });
  }
}

const create = (taskId: string, contentLength: number, isPrivate: boolean): Promise<StoredTask> =>
  store.create({
    taskId,
    url: `https://registry.test/v2/app/blobs/sha256:${taskId}`,
    layout: createLayout(contentLength, 4096),
    digest: `sha256:${taskId}`,
    responseHeaders: { 'content-type': 'application/octet-stream', etag: '"five"' },
    isPrivate,
  });

const complete = await create(createHash('sha256').update(contentOf(10_000)).digest('hex'), 10_000, false);
await writePieces(complete, [0, 1, 2]);
await complete.markComplete();
await complete.setPinned(true);
clock += 60_000;
await writePieces(await create('2'.repeat(64), 20_000, true), [0, 3]);
clock += 60_000;
await (await create('3'.repeat(64), 0, false)).markComplete();
await store[Symbol.asyncDispose]();
rmSync(`${dir}/store.lock`, { force: true });
