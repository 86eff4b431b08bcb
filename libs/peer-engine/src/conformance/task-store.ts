import { describe, expect, it } from '@jest/globals';
import type { PieceRecord } from '@d7y/piece';
import { createLayout, pieceDigestOf, pieceRange } from '@d7y/piece';
import type { NewTask, StoredTask, TaskStore } from '../ports/task-store.ts';
import { NoSpaceError } from '../ports/task-store.ts';

const PIECE_LENGTH = 4096;

/** A store under test; disposing it closes the store and removes what it left. */
export interface TaskStoreUnderTest extends AsyncDisposable {
  readonly store: TaskStore;
}

/** What every TaskStore promises. @param setup makes an empty store that holds at most `capacityBytes` */
export function describeTaskStore(
  name: string,
  setup: (options: { capacityBytes?: number }) => Promise<TaskStoreUnderTest>,
): void {
  describe(`${name} as a task store`, () => {
    it('knows nothing of a task that was never created', async () => {
      await using under = await setup({});
      expect(under.store.get(taskIdNumber(1))).toBeUndefined();
      expect([...under.store.list()]).toEqual([]);
    });

    it('creates a task without pieces and gives back what is known of it', async () => {
      await using under = await setup({});
      const created = await under.store.create(newTask(1, 10_000));
      expect(created).toMatchObject(newTask(1, 10_000));
      expect(created.isComplete).toBe(false);
      expect(created.finishedPieces.size).toBe(0);
      expect(under.store.get(created.taskId)).toBe(created);
      expect([...under.store.list()]).toEqual([created]);
    });

    it('returns the task that exists, with its pieces, when it is created again', async () => {
      await using under = await setup({});
      const first = await under.store.create(newTask(1, 10_000));
      await writePiece(first, 1);
      const second = await under.store.create(newTask(1, 10_000));
      expect(second).toBe(first);
      expect([...second.finishedPieces]).toEqual([1]);
    });

    it('starts anew when the layout is another', async () => {
      await using under = await setup({});
      await writePiece(await under.store.create(newTask(1, 10_000)), 1);
      const second = await under.store.create(newTask(1, 20_000));
      expect(second.layout.contentLength).toBe(20_000);
      expect(second.finishedPieces.size).toBe(0);
      expect([...under.store.list()]).toEqual([second]);
    });

    it('reads what was written, whatever buffers it came in and wherever it is read', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 10_000));
      const bytes = pattern(7, 10_000);
      await task.write(5_000, [bytes.subarray(5_000, 5_001), bytes.subarray(5_001, 9_999), bytes.subarray(9_999)]);
      await task.write(0, [bytes.subarray(0, 0), bytes.subarray(0, 5_000)]);
      expect(await readAll(task, 0, 10_000)).toEqual(bytes);
      expect(await readAll(task, 4_990, 20)).toEqual(bytes.subarray(4_990, 5_010));
    });

    it('reads nothing only at the end', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 10_000));
      await task.write(0, [pattern(1, 10_000)]);
      expect(await task.read(9_999, new Uint8Array(10))).toBe(1);
      expect(await task.read(10_000, new Uint8Array(10))).toBe(0);
    });

    it('keeps bytes apart that are written at the same time', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 64 * PIECE_LENGTH));
      const bytes = pattern(3, 64 * PIECE_LENGTH);
      const parts = Array.from({ length: 64 }, (_, number) => number * PIECE_LENGTH);
      await Promise.all(parts.map((start) => task.write(start, [bytes.subarray(start, start + PIECE_LENGTH)])));
      expect(await readAll(task, 0, bytes.length)).toEqual(bytes);
    });

    it('lets the caller reuse its buffers once a write has resolved', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 100));
      const buffer = new Uint8Array(100).fill(1);
      await task.write(0, [buffer]);
      buffer.fill(2);
      expect(await readAll(task, 0, 100)).toEqual(new Uint8Array(100).fill(1));
    });

    it('refuses bytes outside the task', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 100));
      await expect(task.write(99, [new Uint8Array(2)])).rejects.toThrow(RangeError);
      await expect(task.write(-1, [new Uint8Array(1)])).rejects.toThrow(RangeError);
    });

    it('shows a piece at once when it is recorded, and not before', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 10_000));
      await task.write(0, [pattern(1, PIECE_LENGTH)]);
      expect(task.finishedPieces.has(0)).toBe(false);
      const piece = pieceRecord(task, 0, pattern(1, PIECE_LENGTH));
      task.recordPiece(piece);
      expect(task.finishedPieces.has(0)).toBe(true);
      expect(task.piece(0)).toEqual(piece);
      expect(task.piece(1)).toBeUndefined();
    });

    it('takes a later record of a piece for the one that counts', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 10_000));
      await writePiece(task, 1);
      const piece = { ...pieceRecord(task, 1, pattern(1, PIECE_LENGTH)), sha256: 'ab'.repeat(32) };
      task.recordPiece(piece);
      expect(task.piece(1)).toEqual(piece);
      task.recordPiece({ ...piece, isVerified: true });
      expect(task.piece(1)).toEqual({ ...piece, isVerified: true });
      expect([...task.finishedPieces]).toEqual([1]);
    });

    it('refuses a piece that does not fit the layout', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 10_000));
      const piece = pieceRecord(task, 0, pattern(1, PIECE_LENGTH));
      expect(() => task.recordPiece({ ...piece, number: 3 })).toThrow();
      expect(() => task.recordPiece({ ...piece, offset: 1 })).toThrow(RangeError);
      expect(() => task.recordPiece({ ...piece, length: 1 })).toThrow(RangeError);
      expect(task.finishedPieces.size).toBe(0);
    });

    it('forgets discarded pieces, and with them that the task was complete', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 10_000));
      for (const number of [0, 1, 2]) await writePiece(task, number);
      await task.markComplete();
      task.discardPieces([1]);
      expect([...task.finishedPieces]).toEqual([0, 2]);
      expect(task.piece(1)).toBeUndefined();
      expect(task.isComplete).toBe(false);
    });

    it('discards every piece when given its own list of them', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 10_000));
      for (const number of [0, 1, 2]) await writePiece(task, number);
      task.discardPieces(task.finishedPieces);
      expect(task.finishedPieces.size).toBe(0);
    });

    it('is complete only when told so, and only with every piece', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 10_000));
      await writePiece(task, 0);
      await expect(task.markComplete()).rejects.toThrow('missing');
      for (const number of [1, 2]) await writePiece(task, number);
      expect(task.isComplete).toBe(false);
      await task.markComplete();
      expect(task.isComplete).toBe(true);
    });

    it('keeps empty content, which is complete without pieces', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 0));
      await task.markComplete();
      expect(task.isComplete).toBe(true);
      expect(await task.read(0, new Uint8Array(1))).toBe(0);
    });

    it('removes a task, and does not mind one it never had', async () => {
      await using under = await setup({});
      const task = await under.store.create(newTask(1, 10_000));
      await under.store.delete(task.taskId);
      await under.store.delete(taskIdNumber(2));
      expect(under.store.get(task.taskId)).toBeUndefined();
      expect([...under.store.list()]).toEqual([]);
      await expect(task.read(0, new Uint8Array(1))).rejects.toThrow('removed');
      await expect(task.write(0, [new Uint8Array(1)])).rejects.toThrow('removed');
    });

    it('lets readers finish a task that is deleted meanwhile, even when it is created anew', async () => {
      await using under = await setup({});
      const old = await under.store.create(newTask(1, 100));
      await old.write(0, [new Uint8Array(100).fill(1)]);
      const retained = [old.retain(), old.retain()];
      await under.store.delete(old.taskId);
      const fresh = await under.store.create(newTask(1, 100));
      await fresh.write(0, [new Uint8Array(100).fill(2)]);
      retained[0]?.[Symbol.dispose]();
      retained[0]?.[Symbol.dispose]();
      expect(await readAll(old, 0, 100)).toEqual(new Uint8Array(100).fill(1));
      retained[1]?.[Symbol.dispose]();
      await expect(old.read(0, new Uint8Array(1))).rejects.toThrow('removed');
      expect(await readAll(fresh, 0, 100)).toEqual(new Uint8Array(100).fill(2));
    });

    it('refuses a task that cannot fit', async () => {
      await using under = await setup({ capacityBytes: 20_000 });
      await expect(under.store.create(newTask(1, 20_001))).rejects.toThrow(NoSpaceError);
      expect(under.store.get(taskIdNumber(1))).toBeUndefined();
    });

    it('counts what unfinished tasks will still need', async () => {
      await using under = await setup({ capacityBytes: 20_000 });
      using _first = (await under.store.create(newTask(1, 15_000))).retain();
      await expect(under.store.create(newTask(2, 6_000))).rejects.toThrow(NoSpaceError);
      await expect(under.store.create(newTask(3, 5_000))).resolves.toBeDefined();
    });

    it('evicts nothing that is pinned, until it is not pinned any more', async () => {
      await using under = await setup({ capacityBytes: 20_000 });
      const pinned = await completeTask(under.store, 1, 8_000);
      await pinned.setPinned(true);
      expect(under.store.get(pinned.taskId)?.isPinned).toBe(true);
      await expect(under.store.create(newTask(2, 15_000))).rejects.toThrow(NoSpaceError);
      await pinned.setPinned(false);
      await expect(under.store.create(newTask(2, 15_000))).resolves.toBeDefined();
      expect(under.store.get(pinned.taskId)).toBeUndefined();
    });

    it('makes room by evicting complete tasks nobody uses, but none that is retained', async () => {
      await using under = await setup({ capacityBytes: 20_000 });
      const idle = await completeTask(under.store, 1, 8_000);
      const busy = await completeTask(under.store, 2, 8_000);
      using _retained = busy.retain();
      await under.store.create(newTask(3, 12_000));
      expect(under.store.get(idle.taskId)).toBeUndefined();
      expect(under.store.get(busy.taskId)).toBe(busy);
      await expect(under.store.create(newTask(4, 12_000))).rejects.toThrow(NoSpaceError);
      expect(under.store.get(busy.taskId)).toBe(busy);
    });
  });
}

/** 64 hex characters, as ids are. */
export function taskIdNumber(n: number): string {
  return n.toString(16).padStart(64, '0');
}

/** A task with pieces of 4 KiB. */
export function newTask(n: number, contentLength: number): NewTask {
  return {
    taskId: taskIdNumber(n),
    url: `https://registry.test/v2/app/blobs/${n}`,
    layout: createLayout(contentLength, PIECE_LENGTH),
    digest: undefined,
    responseHeaders: { 'content-type': 'application/octet-stream' },
    isPrivate: false,
  };
}

/** Bytes that tell their position and their `seed`. */
export function pattern(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) + seed * 17) & 0xff;
  return bytes;
}

/** The record of a piece with these bytes. */
export function pieceRecord(task: StoredTask, number: number, bytes: Uint8Array): PieceRecord {
  const { start, length } = pieceRange(task.layout, number);
  return {
    number,
    offset: start,
    length,
    digest: pieceDigestOf(bytes),
    parentId: 'parent',
    trafficType: 'remotePeer',
    isVerified: false,
    costMs: 5,
    createdAtMs: 1_700_000_000_000,
  };
}

/** Writes and records a piece of the pattern whose seed is the piece's number. */
export async function writePiece(task: StoredTask, number: number): Promise<void> {
  const { start, length } = pieceRange(task.layout, number);
  const bytes = pattern(number, length);
  await task.write(start, [bytes]);
  task.recordPiece(pieceRecord(task, number, bytes));
}

/** Creates a task with all its pieces. */
export async function completeTask(store: TaskStore, n: number, contentLength: number): Promise<StoredTask> {
  const task = await store.create(newTask(n, contentLength));
  for (let number = 0; number < task.layout.pieceCount; number++) await writePiece(task, number);
  await task.markComplete();
  return task;
}

/** Reads exactly `length` bytes. */
export async function readAll(task: StoredTask, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const count = await task.read(position + done, bytes.subarray(done));
    if (count === 0) throw new Error(`task ${task.taskId} ends at ${position + done}`);
    done += count;
  }
  return bytes;
}
