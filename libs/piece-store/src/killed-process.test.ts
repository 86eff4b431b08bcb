import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { pieceDigestOf } from '@d7y/piece';
import { readAll } from '@d7y/peer-engine/conformance';
import { openTestStore, scratchDirectory } from './_store-under-test.ts';

const WRITER = fileURLToPath(new URL('./_writer.ts', import.meta.url));
/** A batch waits 50 ms; on a busy machine its timer may come late. */
const BATCH_MS = 250;
/** A full run (tools/test --full) kills more often. */
const ROUNDS = process.env['D7Y_TEST_FULL'] === '1' ? 50 : 10;

interface Run {
  /** `task id number`, of pieces recorded long enough before the end to be on disk, and never given up. */
  readonly due: ReadonlySet<string>;
}

/** Starts the writer and kills it after a random number of pieces, at a random moment. */
async function runAndKill(dir: string, firstTask: number, pieces: number, capacityMib: number): Promise<Run> {
  const child = spawn(
    process.execPath,
    [
      ...['--conditions=@d7y/source', '--disable-warning=ExperimentalWarning', WRITER],
      ...[dir, String(firstTask), String(capacityMib)],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  const recordedAtMs = new Map<string, number>();
  let killedAtMs = 0;
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, taskId = '', number = '', at = ''] = line.split(' ');
    if (what === 'piece') recordedAtMs.set(`${taskId} ${number}`, Number(at));
    if (what === 'gone') {
      for (const piece of recordedAtMs.keys()) {
        if (piece.startsWith(`${taskId} ${number}`)) recordedAtMs.delete(piece);
      }
    }
    if (what !== 'piece' || ++count < pieces || killedAtMs !== 0) continue;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    killedAtMs = Date.now();
    child.kill('SIGKILL');
  }
  expect(await exited).toBe('SIGKILL');
  const due = [...recordedAtMs].filter(([, atMs]) => killedAtMs - atMs > BATCH_MS);
  return { due: new Set(due.map(([piece]) => piece)) };
}

/** Reads every piece that a store has. @returns `task id number` of each */
async function readEverything(dir: string): Promise<Set<string>> {
  await using store = await openTestStore(dir);
  const found = new Set<string>();
  for (const task of store.list()) {
    using _retained = task.retain();
    for (const number of task.finishedPieces) {
      const piece = task.piece(number);
      if (piece === undefined) throw new Error(`no record of piece ${number}`);
      const bytes = await readAll(task, piece.offset, piece.length);
      expect(pieceDigestOf(bytes)).toBe(piece.digest);
      expect(piece.isVerified).toBe(number % 2 === 0);
      expect(piece.sha256).toBe(piece.isVerified ? createHash('sha256').update(bytes).digest('hex') : undefined);
      found.add(`${task.taskId} ${number}`);
    }
  }
  return found;
}

describe('a process killed while it writes, discards, evicts and deletes', () => {
  it(
    'loses the last batch at most, and leaves no piece whose bytes are wrong',
    async () => {
      await using directory = await scratchDirectory();
      let due = 0;
      for (let round = 0; round < ROUNDS; round++) {
        // Where room is short, each comes back to what the one before it has left, and evicts most of it.
        const capacityMib = round % 2 === 0 ? 100_000 : 150;
        const pieces = 15 + Math.floor(Math.random() * 60);
        const run = await runAndKill(directory.path, (round >> 1) * 1000, pieces, capacityMib);
        const found = await readEverything(directory.path);
        // What is evicted is said only once it is gone.
        if (capacityMib > 1000) expect([...run.due].filter((piece) => !found.has(piece))).toEqual([]);
        expect(found.size).toBeGreaterThan(0);
        due += run.due.size;
        if (round % 4 !== 3) continue;
        await using store = await openTestStore(directory.path);
        for (const task of [...store.list()]) await store.delete(task.taskId);
      }
      expect(due).toBeGreaterThan(0);
    },
    ROUNDS * 20_000,
  );
});
