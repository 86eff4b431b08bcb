// A process that downloads, evicts and deletes as fast as it can until it is killed; says one line for every piece that it has recorded, and one
// before it gives a piece, or a task, up.
import { createHash, randomFillSync } from 'node:crypto';
import { writeSync } from 'node:fs';
import type { NewTask, StoredTask } from '@d7y/peer-engine';
import { NoSpaceError } from '@d7y/peer-engine';
import { createLogger } from '@d7y/service-kit';
import { createLayout, pieceDigestOf, pieceRange } from '@d7y/piece';
import { openPieceStore } from './open-piece-store.ts';

const MIB = 2 ** 20;
const [, , dir = '', firstTask = '0', capacityMib = '100000'] = process.argv;
const taskIdOf = (n: number): string => n.toString(16).padStart(64, '0');
const say = (...words: readonly (string | number)[]): void => void writeSync(1, `${words.join(' ')}\n`);
const store = await openPieceStore({
  dir,
  keep: true,
  logger: createLogger({ name: 'writer', level: 'silent' }),
  // What nobody retains may go, finished or not.
  policy: { capacityBytes: Number(capacityMib) * MIB, unfinishedIdleMs: 1 },
  // Said when it is done; until then the pieces may be there or not.
  onEvict: (taskId) => say('gone', taskId),
});
say('open');

/** What was used within the last millisecond may not go; where room is short, that is enough to be refused for a moment. */
async function admitted(task: NewTask): Promise<StoredTask> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await store.create(task);
    } catch (error) {
      if (!(error instanceof NoSpaceError) || attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

async function download(n: number): Promise<void> {
  const taskId = taskIdOf(n);
  const layout = createLayout(25 * MIB + n);
  const task = await admitted({
    ...{ taskId, layout, url: 'http://o.test/', responseHeaders: {} },
    ...{ digest: undefined, isPrivate: false },
  });
  using _retained = task.retain();
  const bytes = randomFillSync(Buffer.alloc(4 * MIB));
  for (let number = 0; number < layout.pieceCount; number++) {
    // Left by the one before us: nobody writes over a piece that counts.
    if (task.finishedPieces.has(number)) continue;
    const { start, length } = pieceRange(layout, number);
    const piece = bytes.subarray(0, length);
    bytes.writeUInt32LE(number);
    for (let done = 0; done < length; done += MIB / 2) {
      await task.write(start + done, [
        piece.subarray(done, done + MIB / 4),
        piece.subarray(done + MIB / 4, done + MIB / 2),
      ]);
    }
    // Verified or not, a piece must come back as it was recorded.
    const isVerified = number % 2 === 0;
    const sha256 = isVerified ? createHash('sha256').update(piece).digest('hex') : undefined;
    const record = { number, offset: start, length, digest: pieceDigestOf(piece), sha256, costMs: 1, createdAtMs: 1 };
    task.recordPiece({ ...record, isVerified, trafficType: isVerified ? 'backToSource' : 'remotePeer' });
    say('piece', taskId, number, Date.now());
    if (number === 2 && n % 2 === 0) {
      say('gone', taskId, 1);
      task.discardPieces([1]);
    }
  }
  if (n % 3 === 0) {
    say('gone', taskId, 0);
    task.discardPieces([0]);
  } else if (n % 2 === 1) await task.markComplete();
}

for (let n = Number(firstTask); ; n += 4) {
  await Promise.all([n, n + 1, n + 2, n + 3].map(download));
  // Makes one of them anew where it was, while the next come.
  say('gone', taskIdOf(n));
  await store.delete(taskIdOf(n));
  await download(n);
}
