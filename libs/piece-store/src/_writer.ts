// A process that downloads as fast as it can until it is killed; says one line for every piece it has recorded.
import { randomFillSync } from 'node:crypto';
import { writeSync } from 'node:fs';
import { createLogger } from '@d7y/service-kit';
import { createLayout, pieceDigestOf, pieceRange } from '@d7y/piece';
import { openPieceStore } from './open-piece-store.ts';

const MIB = 2 ** 20;
const [, , dir = '', firstTask = '0'] = process.argv;
const store = await openPieceStore({ dir, keep: true, logger: createLogger({ name: 'writer', level: 'silent' }) });
writeSync(1, 'open\n');

async function download(n: number): Promise<void> {
  const taskId = n.toString(16).padStart(64, '0');
  const layout = createLayout(25 * MIB + n);
  const task = await store.create({
    taskId,
    url: 'http://o.test/',
    layout,
    digest: undefined,
    responseHeaders: {},
    isPrivate: false,
  });
  using _retained = task.retain();
  const bytes = randomFillSync(Buffer.alloc(4 * MIB));
  for (let number = 0; number < layout.pieceCount; number++) {
    const { start, length } = pieceRange(layout, number);
    const piece = bytes.subarray(0, length);
    bytes.writeUInt32LE(number);
    for (let done = 0; done < length; done += MIB / 2) {
      await task.write(start + done, [
        piece.subarray(done, done + MIB / 4),
        piece.subarray(done + MIB / 4, done + MIB / 2),
      ]);
    }
    const digest = pieceDigestOf(piece);
    const record = { number, offset: start, length, digest, isVerified: false, costMs: 1, createdAtMs: 1 };
    task.recordPiece({ ...record, trafficType: 'remotePeer' });
    writeSync(1, `${taskId} ${number} ${Date.now()}\n`);
    if (number === 2) task.discardPieces([1]);
  }
  task.discardPieces([0]);
}

for (let n = Number(firstTask); ; n += 4) await Promise.all([n, n + 1, n + 2, n + 3].map(download));
