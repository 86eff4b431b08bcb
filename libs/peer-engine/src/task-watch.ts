import type { PieceRecord } from '@d7y/piece';
import type { TaskWatch } from './engine-options.ts';
import { mayBeOffered } from './offering.ts';
import type { StoredTask } from './ports/task-store.ts';
import type { Task } from './task.ts';

/** Follows a task; `task` is its download under way, if there is one. @param options.isAudience for another daemon, to which pieces go on */
export function watchTask(
  stored: StoredTask,
  task: Task | undefined,
  { isAudience }: { isAudience: boolean },
): TaskWatch {
  const seen = new Set<number>();
  const fresh = (): PieceRecord[] => {
    const pieces: PieceRecord[] = [];
    for (const number of stored.finishedPieces) {
      const piece = seen.has(number) ? undefined : stored.piece(number);
      if (piece === undefined || !mayBeOffered(stored, piece)) continue;
      seen.add(number);
      pieces.push(piece);
    }
    return pieces;
  };
  const retained = stored.retain();
  const live = task !== undefined && !task.isOver ? task : undefined;
  live?.watch();
  const attending = isAudience ? live?.audience.join() : undefined;
  const stop = new AbortController();
  // Made once: such a signal costs more than all the rest of a turn.
  const until = live === undefined ? stop.signal : AbortSignal.any([stop.signal, live.failed]);
  let isOpen = true;
  return {
    finished: fresh(),
    arriving: (async function* () {
      while (live !== undefined) {
        yield* fresh();
        if (live.isOver) break;
        await live.nextChange(until);
      }
      yield* fresh();
      if (live?.failed.aborted) throw live.failed.reason;
    })(),
    [Symbol.dispose]() {
      if (!isOpen) return;
      isOpen = false;
      stop.abort(new Error('the watch was disposed'));
      retained[Symbol.dispose]();
      attending?.[Symbol.dispose]();
      live?.unwatch();
    },
  };
}
