import type { Announcement, Instruction, Parent } from '@d7y/peer-protocol';
import type { PieceRecord, ReadonlyPieceSet } from '@d7y/piece';
import { OriginStatusError } from './ports/origin.ts';
import type { SchedulerConnection } from './ports/schedulers.ts';
import type { Progress } from './progress.ts';

/** Where a conversation reports to. Nothing is reported after it was ended from this side. */
export interface ConversationHandlers {
  readonly onInstruction: (conversation: Conversation, instruction: Instruction) => void;
  readonly onEnded: (conversation: Conversation, error: unknown) => void;
}

export interface ConversationInit extends ConversationHandlers {
  readonly scheduler: SchedulerConnection;
  readonly announcement: Announcement;
  readonly progress: Progress;
  /** Requests for parents that it bears, the registration among them. */
  readonly maxRounds: number;
  /** It takes up a download under way: the scheduler does not know the pieces that are here. */
  readonly isResumed: boolean;
}

/** What the scheduler was told last of how we download. */
type Mode = 'registered' | 'fromParents' | 'backToSource';

/**
 * One download, as told to one scheduler, from the registration to the last word. Owner of what the published protocol wants to
 * hear in which order; what to ask for, and when, is decided by the acquisition.
 */
export class Conversation {
  readonly #init: ConversationInit;
  #mode: Mode = 'registered';
  #rounds = 1;
  #isWaiting = true;
  #isOver = false;

  constructor(init: ConversationInit) {
    this.#init = init;
    void this.#listen();
  }

  /** `ip:port`, for logs. */
  get address(): string {
    return this.#init.scheduler.address;
  }

  /** Pieces that few in the swarm have, as far as it was told. */
  get hotPieces(): ReadonlyPieceSet | undefined {
    return this.#init.announcement.hotPieces;
  }

  /** An instruction is due. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  get isResumed(): boolean {
    return this.#init.isResumed;
  }

  get isBackToSource(): boolean {
    return this.#mode === 'backToSource';
  }

  /** It can still be asked for other parents. */
  get mayAsk(): boolean {
    return !this.#isWaiting && !this.isBackToSource && this.#rounds < this.#init.maxRounds;
  }

  /** The instruction that was due is being followed. */
  answered(): void {
    this.#isWaiting = false;
  }

  /** Asks for other parents than those offered so far; an instruction follows. */
  askForOthers(offered: readonly Parent[], reason: string): void {
    this.#rounds++;
    this.#isWaiting = true;
    this.#init.announcement.reschedule(offered, reason);
  }

  /** We fetch from the parents that were offered. */
  downloadFromParents(): void {
    if (this.#mode !== 'registered') return;
    this.#init.announcement.started();
    this.#mode = 'fromParents';
    this.#reportHeld();
  }

  /** We fetch from the origin, as we were told to. */
  downloadFromOrigin(reason: string): void {
    this.#init.announcement.backToSourceStarted(reason);
    this.#mode = 'backToSource';
    this.#reportHeld();
  }

  pieceFinished(piece: PieceRecord): void {
    this.#init.announcement.pieceFinished(piece);
  }

  pieceFailed(pieceNumber: number | undefined, parentId: string): void {
    this.#init.announcement.pieceFailed(pieceNumber, parentId);
  }

  /** Ends it: all is here. Resolves once the scheduler has taken note. */
  async finish(): Promise<void> {
    this.#isOver = true;
    const { announcement, progress } = this.#init;
    const { contentLength, pieceCount } = progress.layout;
    if (this.isBackToSource) return announcement.backToSourceFinished(contentLength, pieceCount);
    if (this.#mode === 'registered') announcement.started();
    return announcement.finished(contentLength, pieceCount);
  }

  /** Ends it: nothing comes of it. */
  async fail(error: unknown): Promise<void> {
    this.#isOver = true;
    const { announcement } = this.#init;
    const reason = error instanceof Error ? error.message : String(error);
    if (!this.isBackToSource) return announcement.failed(reason);
    const answer = error instanceof OriginStatusError ? { status: error.status, headers: error.headers } : undefined;
    return announcement.backToSourceFailed(reason, answer);
  }

  /** Breaks off without a word. */
  abort(): void {
    this.#isOver = true;
    this.#init.announcement.abort();
  }

  #reportHeld(): void {
    if (!this.isResumed) return;
    const { stored } = this.#init.progress;
    for (const number of stored.finishedPieces) {
      const piece = stored.piece(number);
      if (piece !== undefined) this.pieceFinished(piece);
    }
  }

  async #listen(): Promise<void> {
    let error: unknown;
    try {
      for await (const instruction of this.#init.announcement.instructions) {
        if (this.#isOver) continue;
        this.#init.onInstruction(this, instruction);
      }
    } catch (caught) {
      error = caught;
    }
    if (!this.#isOver) this.#init.onEnded(this, error);
  }
}
