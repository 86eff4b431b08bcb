import type { PieceRecord } from '@d7y/piece';
import type { Logger } from '@d7y/service-kit';
import type { TaskDigestMismatchError } from './errors.ts';
import type { Progress } from './progress.ts';
import type { Verification } from './verification.ts';

/** Times that content from peers is fetched anew because its digest did not match. */
const MAX_REPAIRS = 2;

export interface RepairInit {
  readonly progress: Progress;
  readonly verification: Verification;
  readonly hostOf: (peerId: string) => string | undefined;
  /** Lets go of all parents. */
  readonly dropParents: () => void;
  /** Fetches what is missing from the origin; undefined where it may not be asked. */
  readonly fetchFromOrigin: (() => Promise<void>) | undefined;
  /** Tells the scheduler of a piece whose bytes proved wrong. */
  readonly sayPieceWrong: (pieceNumber: number, parentId: string) => void;
  readonly logger: Logger;
}

/**
 * What happens when a whole does not match its digest although every piece matched what its parent claimed: the origin's own bytes take
 * the place of the suspects', and tell who lied once they have made the whole match. Unverified pieces are suspected first, then all from
 * peers: a voucher may have been false, so none is believed any more. Without the origin all parents of the suspects are blamed.
 */
export class Repair {
  readonly #init: RepairInit;
  #repairs = 0;
  /** Pieces from peers that a voucher had confirmed before there was any doubt. */
  readonly #vouched = new Set<number>();
  /** What was fetched anew, as it was before. */
  readonly #replaced: PieceRecord[] = [];

  constructor(init: RepairInit) {
    this.#init = init;
  }

  /**
   * Gets the suspects anew, or leaves them missing where the origin may not be asked.
   * @throws {TaskDigestMismatchError} nobody but the origin is left to blame; nothing is kept
   */
  async run(mismatch: TaskDigestMismatchError): Promise<void> {
    const { progress, verification, dropParents, fetchFromOrigin, logger } = this.#init;
    const { stored } = progress;
    const suspects = this.#suspects();
    logger.warn(
      { taskId: stored.taskId, suspects: suspects.length, err: mismatch },
      'the whole does not match its digest',
    );
    if (suspects.length === 0 || this.#repairs++ >= MAX_REPAIRS) {
      progress.discard([...stored.finishedPieces]);
      throw mismatch;
    }
    verification.distrustVouchers();
    progress.discard(suspects.map(({ number }) => number));
    dropParents();
    if (fetchFromOrigin === undefined) {
      for (const suspect of suspects) this.#blameSender(suspect);
      return;
    }
    await fetchFromOrigin();
    // Whoever passed on what a voucher had confirmed was deceived as we were: the voucher is judged when the whole has matched.
    this.#replaced.push(...suspects.filter(({ number }) => !this.#vouched.has(number)));
  }

  /** The whole has matched: whoever sent other bytes than are here now is to blame. An origin that never gets there convicts nobody. */
  conclude(): void {
    const { stored } = this.#init.progress;
    for (const before of this.#replaced) {
      const after = stored.piece(before.number);
      if (after !== undefined && !isSame(before, after)) this.#blameSender(before);
    }
  }

  #suspects(): PieceRecord[] {
    const { stored } = this.#init.progress;
    const suspects: PieceRecord[] = [];
    for (const number of stored.finishedPieces) {
      const piece = stored.piece(number);
      if (piece === undefined || piece.trafficType === 'backToSource') continue;
      suspects.push(piece);
      if (piece.isVerified) this.#vouched.add(number);
    }
    const unvouched = suspects.filter(({ number }) => !this.#vouched.has(number));
    return unvouched.length > 0 ? unvouched : suspects;
  }

  #blameSender({ number, parentId }: PieceRecord): void {
    const { verification, hostOf, sayPieceWrong, progress, logger } = this.#init;
    if (parentId === undefined) return;
    logger.warn({ taskId: progress.stored.taskId, piece: number, parent: parentId }, 'a parent sent wrong bytes');
    sayPieceWrong(number, parentId);
    const hostId = hostOf(parentId);
    if (hostId !== undefined) verification.convict(number, hostId, 'wrongBytes');
  }
}

/** A CRC is easily forged; it decides only where nothing better was kept. */
function isSame(before: PieceRecord, after: PieceRecord): boolean {
  if (before.sha256 === undefined || after.sha256 === undefined) return before.digest === after.digest;
  return before.sha256 === after.sha256;
}
