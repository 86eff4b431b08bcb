import type { PieceSource, PieceUpload } from '@d7y/peer-protocol';
import { MemoryTaskStore } from '@d7y/peer-engine/testing';
import { newTask } from '@d7y/peer-engine/conformance';
import { describe, expect, it } from '@jest/globals';
import { unauthenticatedPieces } from './unauthenticated-pieces.ts';

const OPEN = 'a'.repeat(64);
const SECRET = 'b'.repeat(64);
const signal = new AbortController().signal;

async function ask(servesPrivate: boolean): Promise<string[]> {
  const store = new MemoryTaskStore();
  await store.create({ ...newTask(1, 10), taskId: OPEN, isPrivate: false });
  await store.create({ ...newTask(2, 10), taskId: SECRET, isPrivate: true });
  const opened: string[] = [];
  const inner: PieceSource = {
    openPiece: (_kind, taskId) => {
      opened.push(taskId);
      return Promise.resolve(undefined as PieceUpload | undefined);
    },
  };
  const source = unauthenticatedPieces(inner, store, { servesPrivate });
  for (const taskId of [OPEN, SECRET, 'c'.repeat(64)]) {
    await source.openPiece('standard', taskId, 0, { ip: '10.0.0.1', packetId: 1 }, { signal });
  }
  return opened;
}

describe('weakness 7: pieces over a port that does not tell who asks', () => {
  it('are those of public tasks alone, where access is strict', async () => {
    expect(await ask(false)).toEqual([OPEN]);
  });

  it('are all, where an unguessable id is protection enough', async () => {
    expect(await ask(true)).toContain(SECRET);
  });
});
