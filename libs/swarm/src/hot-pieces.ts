// Who owns what: counts of holders are the task's, so that the roster can keep them; which tasks have any, what their peers were told
// and who has yet to be told is kept here.
import type { ReadonlyPieceSet } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';
import type { Decision } from './decision.ts';
import { HolderCounts } from './holder-counts.ts';
import type { Peer } from './peer.ts';
import type { Task } from './task.ts';

const NO_PIECES: ReadonlyPieceSet = new PieceSet();

/** Of fewer pieces none is rare for long … */
const MIN_PIECES = 32;
/** … and of fewer peers each has most others for neighbours, and sees by itself what is rare. */
const MIN_PEERS = 32;
/** Peers of a task hear of its rare pieces no more often than this. */
const INTERVAL_MS = 1000;
/** Tasks whose counts one tick looks at … */
const MAX_LOOKED_AT = 16;
/** … and peers that it tells, of all tasks together: a swarm of thousands hears of it less often rather than at any price. */
const MAX_TOLD = 100;

interface Told {
  pieces: ReadonlyPieceSet;
  atMs: number;
  /** Peers that have yet to hear of them. */
  readonly untold: Peer[];
}

/** Tells the peers of large tasks which pieces few have. Small tasks cost nothing but one comparison per report. */
export class HotPieces {
  /** Of tasks whose holders are counted. */
  readonly #told = new WeakMap<Task, Told>();
  /** Counts of these have changed since they were looked at. */
  readonly #changed = new Set<Task>();
  /** Tasks with peers that have yet to hear. */
  readonly #telling = new Set<Task>();

  /** A peer of the task has told of pieces. */
  reported(task: Task): void {
    if (task.holders === undefined) {
      const { pieceCount = 0 } = task.size;
      if (pieceCount < MIN_PIECES || task.peers.size < MIN_PEERS) return;
      task.holders = new HolderCounts(pieceCount, heldBy(task.peers));
      this.#told.set(task, { pieces: NO_PIECES, atMs: -Infinity, untold: [] });
    }
    this.#changed.add(task);
  }

  /** @returns whom to tell now */
  tick(nowMs: number): Decision[] {
    let looks = 0;
    for (const task of this.#changed) {
      if (looks >= MAX_LOOKED_AT) break;
      const told = this.#told.get(task);
      if (told !== undefined && (told.untold.length > 0 || nowMs - told.atMs < INTERVAL_MS)) continue;
      this.#changed.delete(task);
      if (told === undefined || task.holders === undefined) continue;
      if (task.peers.size < MIN_PEERS / 2) {
        task.holders = undefined;
        this.#told.delete(task);
        continue;
      }
      looks++;
      told.atMs = nowMs;
      const pieces = task.holders.rarest();
      if (isSame(pieces, told.pieces)) continue;
      told.pieces = pieces;
      for (const peer of task.peers) if (isListening(peer)) told.untold.push(peer);
      this.#telling.add(task);
    }
    return this.#tellSome();
  }

  #tellSome(): Decision[] {
    const decisions: Decision[] = [];
    for (const task of this.#telling) {
      const told = this.#told.get(task);
      for (let peer = told?.untold.pop(); told !== undefined && peer !== undefined; peer = told.untold.pop()) {
        if (isListening(peer)) decisions.push({ kind: 'tellHotPieces', peerId: peer.id, pieces: told.pieces });
        if (decisions.length >= MAX_TOLD) return decisions;
      }
      this.#telling.delete(task);
    }
    return decisions;
  }
}

function* heldBy(peers: Iterable<Peer>): Generator<ReadonlyPieceSet, void, undefined> {
  for (const { finishedPieces } of peers) yield finishedPieces;
}

/** Fetches from neighbours, and understands. */
const isListening = ({ host, link, state }: Peer): boolean =>
  host.isOwn && link.kind === 'attached' && state === 'Running';

function isSame(a: ReadonlyPieceSet, b: ReadonlyPieceSet): boolean {
  if (a.size !== b.size) return false;
  for (const pieceNumber of a) if (!b.has(pieceNumber)) return false;
  return true;
}
