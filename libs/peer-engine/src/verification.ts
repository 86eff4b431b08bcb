import type { Parent } from '@d7y/peer-protocol';
import type { PieceRecord } from '@d7y/piece';
import type { Logger } from '@d7y/service-kit';
import type { Audience } from './audience.ts';
import { PieceRefutedError } from './errors.ts';
import type { LateHashes } from './late-hashes.ts';
import type { SwarmLink, VoucherBatch } from './ports/swarm-link.ts';
import type { Progress } from './progress.ts';
import type { Offence, Reputation } from './reputation.ts';
import { VoucherBook } from './voucher-book.ts';
import { VoucherFeed } from './voucher-feed.ts';

/** Refused bytes that are remembered for one piece. */
const MAX_REFUSALS = 4;

export interface VerificationInit {
  readonly progress: Progress;
  readonly reputation: Reputation;
  readonly link: SwarmLink | undefined;
  /** While nobody profits from pieces before the whole is here, they are not hashed one by one. */
  readonly audience: Audience;
  readonly lateHashes: Pick<LateHashes, 'add'>;
  /** This host. */
  readonly hostId: string;
  /** Host of a parent that was used in this download. */
  readonly hostOf: (peerId: string) => string | undefined;
  /** A host was blamed for what it said or sent, whether or not it is a parent at present. */
  readonly onBlamed: (hostId: string, offence: Offence) => void;
  /** A parent's bytes contradict a voucher: it is not to be asked any more, nor its host for a while. */
  readonly onSuspected: (peerId: string, pieceNumber: number) => void;
  /** A piece that was here proved wrong and is missing again. */
  readonly onDiscarded: (piece: PieceRecord) => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Which pieces of one task are verified, and who is to blame. Owner of the vouchers heard, of what was refused because of them, and of
 * the complaints to the scheduler.
 *
 * A voucher alone never convicts anybody for good: whom it contradicts is left alone at once, but the scheduler hears of it only when the
 * digest of the whole has shown which of the two was right.
 */
export class Verification {
  readonly #init: VerificationInit;
  readonly #book: VoucherBook;
  readonly #feed: VoucherFeed | undefined;
  /** Bytes that contradicted a voucher, by piece. */
  readonly #refused = new Map<number, { readonly sha256: string; readonly hostId: string }[]>();
  /** Hosts that are left alone for wrong bytes already. */
  readonly #turnedAway = new Set<string>();
  /** Hosts of which the scheduler has heard. */
  readonly #convicted = new Set<string>();
  /** The whole did not match once: from now on every piece is looked at as it comes. */
  #isAlarmed = false;
  #isCatchingUp = false;

  constructor(init: VerificationInit) {
    const { progress, reputation, link, audience, logger, signal } = init;
    this.#init = init;
    audience.onArrival = () => this.catchUp();
    this.#book = new VoucherBook(progress.layout, (hostId) => reputation.isHonest(hostId));
    this.#feed =
      link &&
      new VoucherFeed({
        ...{ link, logger, signal },
        taskId: progress.stored.taskId,
        onBatch: (batch) => this.#hear(batch),
      });
  }

  /** Pieces will come from these parents: from now on vouchers matter. */
  meet(parents: readonly Parent[]): void {
    if (this.#init.progress.layout.pieceCount > 1) this.#feed?.meet(parents);
  }

  /** Whether the SHA-256 of a piece can be of use at all. */
  isCheckable(pieceNumber: number): boolean {
    const { layout, stored } = this.#init.progress;
    // The only piece of a task waits for the digest of the whole anyway, which is the same.
    return layout.pieceCount > 1 && (stored.digest !== undefined || this.#book.knows(pieceNumber));
  }

  /** Whether the SHA-256 of a piece from a peer is worth computing as it comes: it doubles the hashing. */
  wantsSha256(pieceNumber: number): boolean {
    const mustWait = this.#init.progress.stored.digest !== undefined && !this.#isAlarmed;
    return this.isCheckable(pieceNumber) && (!mustWait || this.#init.audience.isThere);
  }

  /** Pieces came, or somebody came who waits for them: what is vouched for and was not hashed as it came is hashed now. */
  catchUp(): void {
    const { progress, lateHashes, audience, logger, signal } = this.#init;
    const next = (): number | undefined => (audience.isThere ? this.#unhashed(signal) : undefined);
    if (this.#isCatchingUp || next() === undefined) return;
    this.#isCatchingUp = true;
    const run = async (): Promise<void> => {
      for (let number = next(); number !== undefined; number = next()) {
        const piece = await lateHashes.add(number);
        if (piece?.sha256 !== undefined) this.#review(piece, piece.sha256);
      }
    };
    run()
      .catch((error: unknown) => {
        if (signal.aborted) return;
        logger.warn({ taskId: progress.stored.taskId, err: error }, 'pieces could not be hashed for early release');
      })
      .finally(() => (this.#isCatchingUp = false));
  }

  /** The next piece that is unverified for lack of its SHA-256 alone. */
  #unhashed(signal: AbortSignal): number | undefined {
    const { stored } = this.#init.progress;
    if (signal.aborted || stored.isComplete) return undefined;
    for (const number of stored.finishedPieces) {
      const piece = this.#book.sha256Of(number) === undefined ? undefined : stored.piece(number);
      if (piece !== undefined && !piece.isVerified && piece.sha256 === undefined) return number;
    }
    return undefined;
  }

  /**
   * The whole does not match: hashes what was not hashed as it came, and refuses what contradicts its voucher, as it would have been
   * refused then.
   * @returns how many pieces are missing again
   */
  async reckon(): Promise<number> {
    const { progress, lateHashes } = this.#init;
    const { stored } = progress;
    this.#isAlarmed = true;
    const before = progress.discards.length;
    for (const number of [...stored.finishedPieces]) {
      const piece = stored.piece(number);
      if (piece === undefined || piece.trafficType === 'backToSource' || piece.sha256 !== undefined) continue;
      const learned = await lateHashes.add(number);
      if (learned?.sha256 !== undefined) this.#review(learned, learned.sha256, { isDecided: false });
    }
    return progress.discards.length - before;
  }

  /**
   * A piece came from a peer.
   * @returns whether it is verified
   * @throws {PieceRefutedError} somebody vouches for other bytes
   */
  judge(pieceNumber: number, sha256: string | undefined, hostId: string): boolean {
    const vouched = this.#book.sha256Of(pieceNumber);
    if (sha256 === undefined || vouched === undefined) {
      this.#feed?.ask();
      return false;
    }
    if (sha256 === vouched) return true;
    if (this.#refuse(pieceNumber, sha256, hostId) === 'disputed') return false;
    throw new PieceRefutedError(this.#init.progress.stored.taskId, pieceNumber, vouched, sha256);
  }

  /** A piece came from the origin. */
  fetched({ number, sha256 }: PieceRecord): void {
    const { link, hostId, progress } = this.#init;
    if (sha256 === undefined) return;
    const { contentLength, pieceLength } = progress.layout;
    const vouchers = [{ pieceNumber: number, sha256, hostId }];
    link?.vouch(progress.stored.taskId, { contentLength, pieceLength, vouchers });
    // Whose bytes were refused because of a false voucher need not wait for the whole.
    for (const refused of this.#refused.get(number) ?? []) if (refused.sha256 === sha256) this.#pardon(refused.hostId);
  }

  /** A parent was turned away for a failed transfer. The scheduler hears at once of bytes that contradict what their sender said itself. */
  turnedAway(pieceNumber: number, hostId: string, offence: Offence): void {
    if (offence !== 'wrongBytes') return;
    this.#turnedAway.add(hostId);
    const isOpen = (this.#refused.get(pieceNumber) ?? []).some((refused) => refused.hostId === hostId);
    if (isOpen || this.#convicted.has(hostId)) return;
    this.#convicted.add(hostId);
    this.#init.link?.blame(this.#init.progress.stored.taskId, pieceNumber, hostId, offence);
  }

  /** Blames a host, here and at the scheduler, once for this task. */
  convict(pieceNumber: number, hostId: string, offence: Offence): void {
    const { progress, reputation, onBlamed, link, logger } = this.#init;
    const { taskId } = progress.stored;
    if (this.#convicted.has(hostId)) return;
    this.#convicted.add(hostId);
    logger.warn({ taskId, piece: pieceNumber, parent: hostId, offence }, 'a host lied about a piece');
    if (!this.#turnedAway.has(hostId)) {
      reputation.blame(hostId, offence);
      onBlamed(hostId, offence);
    }
    link?.blame(taskId, pieceNumber, hostId, offence);
  }

  /** The whole did not match: until it does no voucher is believed, and nothing more is released or offered because of one. */
  distrustVouchers(): void {
    const { progress } = this.#init;
    this.#book.void();
    for (const number of progress.stored.finishedPieces) {
      const piece = progress.stored.piece(number);
      if (piece !== undefined && piece.trafficType !== 'backToSource') progress.setVerified(piece, false);
    }
  }

  /** The whole has matched its digest: every piece that is here is the truth, by which everybody is judged. */
  async conclude(): Promise<void> {
    const { progress, reputation, hostId: self, hostOf, lateHashes } = this.#init;
    const { stored } = progress;
    // Only where somebody must have lied is it worth hashing what was not hashed as it came.
    for (const number of new Set([...this.#book.contradicted, ...this.#refused.keys()])) {
      // Without it nobody is judged by this piece.
      await lateHashes.add(number).catch(() => undefined);
    }
    for (const [hostId, number] of this.#book.falseVouchers((piece) => stored.piece(piece)?.sha256)) {
      if (hostId !== self) this.convict(number, hostId, 'falseVoucher');
    }
    for (const [number, refusals] of this.#refused) {
      const truth = stored.piece(number)?.sha256;
      for (const { sha256, hostId } of truth === undefined ? [] : refusals) {
        if (sha256 === truth) this.#pardon(hostId);
        else this.convict(number, hostId, 'wrongBytes');
      }
    }
    const givers = new Set<string>();
    for (const number of stored.finishedPieces) {
      const parentId = stored.piece(number)?.parentId;
      const hostId = parentId === undefined ? undefined : hostOf(parentId);
      if (hostId !== undefined) givers.add(hostId);
    }
    for (const hostId of givers) if (!this.#convicted.has(hostId)) reputation.praise(hostId);
  }

  #hear(batch: VoucherBatch): void {
    for (const number of new Set(this.#book.add(batch))) {
      const piece = this.#init.progress.stored.piece(number);
      if (piece?.sha256 !== undefined && piece.trafficType !== 'backToSource') this.#review(piece, piece.sha256);
    }
    this.catchUp();
  }

  /** Something new was said of a piece that is here. */
  #review(piece: PieceRecord, sha256: string, { isDecided = this.#init.progress.isSatisfied } = {}): void {
    const { progress, onDiscarded, onSuspected, hostOf } = this.#init;
    const vouched = this.#book.sha256Of(piece.number);
    if (vouched === undefined || vouched === sha256) {
      progress.setVerified(piece, vouched !== undefined);
      return;
    }
    const { parentId } = piece;
    const hostId = parentId === undefined ? undefined : hostOf(parentId);
    // Once nothing is missing the digest of the whole decides, and nobody would fetch the piece again.
    if (isDecided) return progress.setVerified(piece, false);
    if (this.#refuse(piece.number, sha256, hostId ?? '') === 'disputed') return progress.setVerified(piece, false);
    if (parentId !== undefined) onSuspected(parentId, piece.number);
    progress.discard([piece.number]);
    onDiscarded(piece);
  }

  /** Takes note of bytes that contradict the only voucher. When two hosts agree on them, it is the voucher that is in doubt. */
  #refuse(pieceNumber: number, sha256: string, hostId: string): 'refused' | 'disputed' {
    const refused = this.#refused.get(pieceNumber) ?? [];
    const isAgreed = refused.some((other) => other.sha256 === sha256 && other.hostId !== hostId);
    // Who sends other bytes than it vouches for proves nothing but its own dishonesty.
    if (isAgreed && !this.#book.hasVouched(hostId, pieceNumber)) {
      this.#book.dispute(pieceNumber);
      for (const other of refused) if (other.sha256 === sha256) this.#pardon(other.hostId);
      return 'disputed';
    }
    if (refused.length < MAX_REFUSALS && hostId !== '') refused.push({ sha256, hostId });
    this.#refused.set(pieceNumber, refused);
    return 'refused';
  }

  #pardon(hostId: string): void {
    if (this.#convicted.has(hostId)) return;
    this.#turnedAway.delete(hostId);
    this.#init.reputation.pardon(hostId, 'wrongBytes');
  }
}
