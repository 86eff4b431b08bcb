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
const ROUNDS = process.env['D7Y_TEST_FULL'] === '1' ? 30 : 6;

interface Run {
  /** `task id number`, of pieces recorded long enough before the end to be on disk. */
  readonly due: string[];
  readonly recorded: number;
}

/** Starts the writer and kills it after a random number of pieces, at a random moment. */
async function runAndKill(dir: string, firstTask: number, pieces: number): Promise<Run> {
  const child = spawn(
    process.execPath,
    ['--conditions=@d7y/source', '--disable-warning=ExperimentalWarning', WRITER, dir, String(firstTask)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  const lines: string[] = [];
  let killedAtMs = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'open') continue;
    lines.push(line);
    if (lines.length < pieces || killedAtMs !== 0) continue;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    killedAtMs = Date.now();
    child.kill('SIGKILL');
  }
  expect(await exited).toBe('SIGKILL');
  const isDue = (line: string) => killedAtMs - Number(line.split(' ')[2]) > BATCH_MS;
  return { due: lines.filter(isDue).map((line) => line.split(' ', 2).join(' ')), recorded: lines.length };
}

describe('a process killed while it writes', () => {
  it(
    'loses the last batch at most, and leaves no piece whose bytes are wrong',
    async () => {
      await using directory = await scratchDirectory();
      let due = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const run = await runAndKill(directory.path, round * 1000, 30 + Math.floor(Math.random() * 60));
        await using store = await openTestStore(directory.path);
        const found = new Set<string>();
        for (const task of store.list()) {
          using _retained = task.retain();
          for (const number of task.finishedPieces) {
            const piece = task.piece(number);
            if (piece === undefined) throw new Error(`no record of piece ${number}`);
            expect(pieceDigestOf(await readAll(task, piece.offset, piece.length))).toBe(piece.digest);
            found.add(`${task.taskId} ${number}`);
          }
        }
        // Pieces 0 and 1 are discarded again on the way.
        const kept = run.due.filter((piece) => !/ [01]$/.test(piece));
        expect(kept.filter((piece) => !found.has(piece))).toEqual([]);
        expect(found.size).toBeGreaterThan(0);
        due += kept.length;
        for (const task of [...store.list()]) await store.delete(task.taskId);
      }
      expect(due).toBeGreaterThan(0);
    },
    ROUNDS * 20_000,
  );
});
