import type { Parent, PieceAnnouncement } from '@d7y/peer-protocol';
import type { PieceRecord } from '@d7y/piece';
import { pieceRange, PieceSet } from '@d7y/piece';
import { choosePiece } from '@d7y/swarm';
import type { Tracer } from '@opentelemetry/api';
import { SpanKind } from '@opentelemetry/api';
import type { Logger } from '@d7y/service-kit';
import { withSpan } from '@d7y/service-kit';
import type { Parents } from './ports/parents.ts';
import type { Progress } from './progress.ts';
import type { Offence, Reputation } from './reputation.ts';

/** A parent that says "no such piece" or "busy" this often is left alone for the task. */
const MAX_REFUSALS = 3;
/** Pieces asked of one parent at the same time: few, so that it serves many children evenly. */
const MAX_PER_PARENT = 4;

/** A parent of this task: what it has, what it owes us. */
interface ParentState {
  readonly parent: Parent;
  readonly pieces: PieceSet;
  address: { readonly ip: string; readonly tcpPort: number } | undefined;
  inFlight: number;
  refusals: number;
  /** It still tells of new pieces. */
  isSyncing: boolean;
  readonly stop: AbortController;
}

export interface PeerFetcherInit {
  readonly progress: Progress;
  readonly parents: Parents;
  readonly reputation: Reputation;
  readonly hostId: string;
  readonly concurrency: number;
  readonly clock: () => number;
  readonly random: () => number;
  readonly tracer: Tracer;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onPiece: (piece: PieceRecord) => void;
  readonly onPieceFailed: (pieceNumber: number | undefined, parent: Parent) => void;
  /** A host is not asked for a while. */
  readonly onBlamed: (hostId: string, offence: Offence) => void;
  /** No parent is left that has, or may come to have, a missing piece. */
  readonly onExhausted: () => void;
  /** The store failed: no parent is to blame, and no other one helps. */
  readonly onStoreFailure: (error: unknown) => void;
}

/** Fetches the missing pieces of a task from its parents: several pieces and several parents at once. */
export class PeerFetcher {
  readonly #init: PeerFetcherInit;
  readonly #parents = new Map<string, ParentState>();
  /** Never asked again for this task. */
  readonly #blocked = new Set<string>();
  readonly #offered: Parent[] = [];
  readonly #hosts = new Map<string, string>();
  readonly #fetching = new Set<Promise<void>>();
  #inFlight = 0;
  #lastProgressMs: number;

  constructor(init: PeerFetcherInit) {
    this.#init = init;
    this.#lastProgressMs = init.clock();
  }

  /** All parents a scheduler has offered so far, also those that were dropped. */
  get offered(): readonly Parent[] {
    return this.#offered;
  }

  /** Some parent has, or may come to have, what is missing. */
  get isLive(): boolean {
    if (this.#inFlight > 0) return true;
    const missing = this.#init.progress.missing();
    return [...this.#parents.values()].some(({ isSyncing, pieces }) => isSyncing || intersects(missing, pieces));
  }

  /** Time since a parent announced or delivered anything, in ms; 0 while pieces are on their way. */
  idleMs(): number {
    return this.#inFlight > 0 ? 0 : this.#init.clock() - this.#lastProgressMs;
  }

  /** @returns how many of the parents are new and worth asking */
  add(parents: readonly Parent[]): number {
    let added = 0;
    for (const parent of parents) {
      // A seed that was asked without a scheduler comes without an offer.
      if (parent.offer.host !== undefined) this.#offered.push(parent);
      if (parent.hostId === this.#init.hostId || this.#blocked.has(parent.peerId)) continue;
      if (this.#parents.has(parent.peerId) || !this.#init.reputation.isTrusted(parent.hostId)) continue;
      const state: ParentState = {
        parent,
        pieces: new PieceSet(),
        address: undefined,
        inFlight: 0,
        refusals: 0,
        isSyncing: true,
        stop: new AbortController(),
      };
      this.#parents.set(parent.peerId, state);
      this.#hosts.set(parent.peerId, parent.hostId);
      this.#lastProgressMs = this.#init.clock();
      added++;
      void this.#sync(state);
    }
    return added;
  }

  /** Starts as many fetches as the limits allow; to be called whenever pieces became missing. */
  pump(): void {
    while (this.#inFlight < this.#init.concurrency && !this.#init.signal.aborted) {
      const choice = this.#choose();
      if (choice === undefined || !this.#init.progress.claim(choice.pieceNumber)) break;
      const fetching = this.#fetch(choice.state, choice.pieceNumber);
      this.#fetching.add(fetching);
      void fetching.finally(() => this.#fetching.delete(fetching));
    }
    if (!this.#init.progress.isSatisfied && !this.isLive) this.#init.onExhausted();
  }

  /** Drops a parent for the rest of the task, and its host for a while. */
  blame(peerId: string, offence: Offence): void {
    const state = this.#parents.get(peerId);
    if (state === undefined) return;
    this.#init.reputation.blame(state.parent.hostId, offence);
    this.#init.onBlamed(state.parent.hostId, offence);
    this.#drop(state);
  }

  /** Host of a parent that was used at any time. */
  hostOf(peerId: string): string | undefined {
    return this.#hosts.get(peerId);
  }

  /** Lets go of all parents. */
  stop(): void {
    for (const state of this.#parents.values()) state.stop.abort();
    this.#parents.clear();
  }

  /** Resolves when no piece is under way, whatever became of it. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#fetching);
  }

  #choose(): { pieceNumber: number; state: ParentState } | undefined {
    const states = [...this.#parents.values()].filter(({ address }) => address !== undefined);
    const choice = choosePiece({
      wanted: this.#init.progress.missing(),
      parents: states.map(({ parent, pieces, inFlight }) => ({ id: parent.peerId, pieces, inFlight, weight: 1 })),
      maxPerParent: MAX_PER_PARENT,
      random: this.#init.random,
    });
    const state = choice && this.#parents.get(choice.parentId);
    return state === undefined || choice === undefined ? undefined : { pieceNumber: choice.pieceNumber, state };
  }

  async #sync(state: ParentState): Promise<void> {
    const { parents, progress, signal, logger } = this.#init;
    const { parent } = state;
    // Not only what is wanted now: another caller may want more while the parent is still telling.
    const interested: number[] = [];
    for (let number = 0; number < progress.layout.pieceCount; number++) {
      if (!progress.stored.finishedPieces.has(number)) interested.push(number);
    }
    try {
      const request = { taskId: progress.stored.taskId, interested };
      const either = AbortSignal.any([signal, state.stop.signal]);
      for await (const announcement of parents.syncPieces(parent, request, { signal: either })) {
        if (this.#learn(state, announcement)) this.pump();
      }
      state.isSyncing = false;
    } catch (error) {
      if (signal.aborted || state.stop.signal.aborted) return;
      logger.debug(
        { parent: parent.hostId, taskId: progress.stored.taskId, err: error },
        'a parent stopped telling its pieces',
      );
      state.isSyncing = false;
      // What it announced before may still be had; a dead piece server shows with the first fetch.
      if (state.address === undefined) this.blame(parent.peerId, offenceOf(error) ?? 'unreachable');
    }
    this.pump();
  }

  /** @returns whether the announcement names a piece that exists and was not known of this parent */
  #learn(state: ParentState, { number, offset, length, ip, tcpPort }: PieceAnnouncement): boolean {
    const { layout } = this.#init.progress;
    if (number >= layout.pieceCount) return false;
    const expected = pieceRange(layout, number);
    if (expected.start !== offset || expected.length !== length) {
      this.#init.logger.warn(
        { parent: state.parent.hostId, taskId: this.#init.progress.stored.taskId, piece: number },
        'a parent cuts the task into other pieces and is left alone',
      );
      this.#drop(state);
      return false;
    }
    state.address = { ip, tcpPort };
    this.#lastProgressMs = this.#init.clock();
    return state.pieces.add(number);
  }

  async #fetch(state: ParentState, number: number): Promise<void> {
    const { progress, parents, clock, tracer, signal } = this.#init;
    const { parent, address } = state;
    if (address === undefined) return progress.unclaim(number);
    const startedAtMs = clock();
    this.#inFlight++;
    state.inFlight++;
    let storeFailure: unknown;
    try {
      const expected = pieceRange(progress.layout, number);
      const attributes = {
        task_id: progress.stored.taskId,
        piece_number: number,
        parent_id: parent.peerId,
        parent_addr: `${address.ip}:${address.tcpPort}`,
      };
      const received = await withSpan(tracer, 'download_piece', { kind: SpanKind.CLIENT, attributes }, () =>
        parents.fetchPiece(
          { taskId: progress.stored.taskId, ...address, number, expected },
          {
            write: async (position, bytes) => {
              try {
                await progress.stored.write(position, bytes);
              } catch (error) {
                storeFailure = error;
                throw error;
              }
            },
          },
          { signal: AbortSignal.any([signal, state.stop.signal]) },
        ),
      );
      const now = clock();
      const piece: PieceRecord = {
        number,
        offset: expected.start,
        length: expected.length,
        digest: received.digest,
        parentId: parent.peerId,
        trafficType: 'remotePeer',
        costMs: now - startedAtMs,
        createdAtMs: now,
      };
      this.#lastProgressMs = now;
      progress.finish(piece);
      this.#init.onPiece(piece);
    } catch (error) {
      progress.unclaim(number);
      if (storeFailure !== undefined) this.#init.onStoreFailure(storeFailure);
      else if (!signal.aborted && !state.stop.signal.aborted) this.#fetchFailed(state, number, error);
    } finally {
      this.#inFlight--;
      state.inFlight--;
      if (!signal.aborted) this.pump();
    }
  }

  #fetchFailed(state: ParentState, number: number, error: unknown): void {
    const { parent } = state;
    this.#init.logger.warn(
      { parent: parent.hostId, taskId: this.#init.progress.stored.taskId, piece: number, err: error },
      'a piece could not be had from a parent',
    );
    this.#init.onPieceFailed(number, parent);
    const offence = offenceOf(error);
    if (offence !== undefined) return this.blame(parent.peerId, offence);
    state.pieces.delete(number);
    if (++state.refusals >= MAX_REFUSALS) this.#drop(state);
  }

  #drop(state: ParentState): void {
    this.#blocked.add(state.parent.peerId);
    this.#parents.delete(state.parent.peerId);
    state.stop.abort();
  }
}

/** What a failed call or transfer says of the parent; undefined when it answered in good order that it cannot serve. */
function offenceOf(error: unknown): Offence | undefined {
  const { code, phase } = error as { code?: unknown; phase?: unknown };
  if (code === 'PIECE_REFUSED') return undefined;
  if (code === 'PIECE_DIGEST_MISMATCH' || code === 'PIECE_MISMATCH') return 'wrongBytes';
  // A host that accepts a connection and then says nothing would cost every task the same wait again.
  const isSilent = code === 'PARENT_SILENT' || code === 'PIECE_STALLED' || phase === 'header';
  return isSilent ? 'stalled' : 'unreachable';
}

function intersects(wanted: PieceSet, held: PieceSet): boolean {
  for (const number of wanted) if (held.has(number)) return true;
  return false;
}
