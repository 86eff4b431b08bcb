import type { StoredTask, TaskStore, TaskWatch, VoucherBatch } from '@d7y/peer-engine';
import type { PieceRecord } from '@d7y/piece';
import { untilAborted } from '@d7y/service-kit';

/** Vouchers in one message: some 20 KB. */
const MAX_VOUCHERS_PER_BATCH = 512;

/** What this daemon can vouch for: the pieces it fetched from the origin itself, as the store remembers them. */
export class OwnVouchers {
  readonly #store: TaskStore;
  readonly #hostId: string;
  readonly #watch: (taskId: string) => TaskWatch | undefined;

  /** @param watch follows the download of a task */
  constructor(store: TaskStore, hostId: string, watch: (taskId: string) => TaskWatch | undefined) {
    this.#store = store;
    this.#hostId = hostId;
    this.#watch = watch;
  }

  taskIds(): string[] {
    return [...this.#store.list()].map(({ taskId }) => taskId);
  }

  /** What there is now; nothing for a task that is not here. */
  *of(taskId: string): Generator<VoucherBatch, void, undefined> {
    const stored = this.#store.get(taskId);
    if (stored === undefined) return;
    let pieces: PieceRecord[] = [];
    for (const number of stored.finishedPieces) {
      const piece = stored.piece(number);
      if (piece === undefined || !isOwn(piece)) continue;
      pieces.push(piece);
      if (pieces.length < MAX_VOUCHERS_PER_BATCH) continue;
      yield this.#batch(stored, pieces);
      pieces = [];
    }
    if (pieces.length > 0) yield this.#batch(stored, pieces);
  }

  /** What there is now, and what comes while the task is downloaded; ends with the download, also when that fails. */
  async *follow(taskId: string, { signal }: { signal: AbortSignal }): AsyncGenerator<VoucherBatch, void, undefined> {
    using watch = this.#watch(taskId);
    const stored = this.#store.get(taskId);
    if (watch === undefined || stored === undefined) return;
    yield* this.of(taskId);
    try {
      for await (const piece of untilAborted(watch.arriving, signal))
        if (isOwn(piece)) yield this.#batch(stored, [piece]);
    } catch {
      // What a failed download brought until then stays true.
    }
  }

  #batch({ layout }: StoredTask, pieces: readonly PieceRecord[]): VoucherBatch {
    return {
      contentLength: layout.contentLength,
      pieceLength: layout.pieceLength,
      vouchers: pieces.map(({ number, sha256 = '' }) => ({ pieceNumber: number, sha256, hostId: this.#hostId })),
    };
  }
}

const isOwn = ({ trafficType, isVerified, sha256 }: PieceRecord): boolean =>
  trafficType === 'backToSource' && isVerified && sha256 !== undefined;
