import type { TaskStore } from '@d7y/peer-engine';
import type { TaskPieces } from '@d7y/peer-protocol';
import type { DaemonMetrics } from './daemon-metrics.ts';

/** Tasks as other daemons follow them: each look at one is an upload of the task, from its beginning to its end. */
export function countedPieces(inner: TaskPieces, store: TaskStore, metrics: DaemonMetrics): TaskPieces {
  return {
    opening: (taskId) => inner.opening(taskId),
    watch(taskId, child) {
      const watch = inner.watch(taskId, child);
      if (watch === undefined) return undefined;
      const startedAtMs = performance.now();
      let isOpen = true;
      metrics.taskUploadStarted();
      return {
        finished: watch.finished,
        newlyFinished: watch.newlyFinished,
        state: () => watch.state(),
        piece: (pieceNumber) => watch.piece(pieceNumber),
        [Symbol.dispose]() {
          if (!isOpen) return;
          isOpen = false;
          metrics.taskUploadEnded({
            failed: watch.state() === 'failed',
            durationMs: performance.now() - startedAtMs,
            contentLength: store.get(taskId)?.layout.contentLength ?? 0,
          });
          watch[Symbol.dispose]();
        },
      };
    },
  };
}
