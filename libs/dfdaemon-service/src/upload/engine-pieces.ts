import type { Engine, TaskStore, TaskWatch } from '@d7y/peer-engine';
import type { PieceWatch, TaskPieces } from '@d7y/peer-protocol';

/** The engine's tasks as children ask for them. @param options.isAudience see Engine.watch */
export function piecesOfEngine(
  engine: Pick<Engine, 'watch' | 'opening'>,
  store: TaskStore,
  { isAudience }: { isAudience: boolean },
): TaskPieces {
  return {
    opening: (taskId) => engine.opening(taskId),
    watch(taskId): PieceWatch | undefined {
      const stored = store.get(taskId);
      const watch = stored === undefined ? undefined : engine.watch(taskId, { isAudience });
      if (stored === undefined || watch === undefined) return undefined;
      let hasFailed = false;
      return {
        finished: watch.finished.map(({ number }) => number),
        newlyFinished: numbersOf(watch, () => (hasFailed = true)),
        state: () => (hasFailed ? 'failed' : stored.isComplete ? 'finished' : 'running'),
        piece: (pieceNumber) => stored.piece(pieceNumber),
        [Symbol.dispose]: () => watch[Symbol.dispose](),
      };
    },
  };
}

/** A failed task ends the list like one that is over; its state tells the difference. */
async function* numbersOf({ arriving }: TaskWatch, onFailed: () => void): AsyncGenerator<number, void, undefined> {
  try {
    for await (const { number } of arriving) yield number;
  } catch {
    onFailed();
  }
}
