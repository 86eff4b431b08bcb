import type { TaskLayout } from '@d7y/piece';
import type { DownloadStory } from './journal.ts';
import type { StoredTask } from './ports/task-store.ts';

/** What is on this host of a task, and where it came from. Sizes in bytes. */
export interface HeldContent {
  readonly layout: TaskLayout;
  readonly finishedPieces: number;
  readonly isComplete: boolean;
  readonly isPrivate: boolean;
  readonly bytes: {
    readonly fromSource: number;
    readonly fromPeers: number;
    /** By peer id, most bytes first. */
    readonly byPeer: readonly { readonly peerId: string; readonly pieces: number; readonly bytes: number }[];
  };
}

/** All that this host can say of a task. */
export interface TaskExplanation {
  readonly held: HeldContent | undefined;
  /** The last download, running or over, since this process started. */
  readonly download: DownloadStory | undefined;
}

export function heldContentOf(stored: StoredTask): HeldContent {
  let fromSource = 0;
  let fromPeers = 0;
  const peers = new Map<string, { peerId: string; pieces: number; bytes: number }>();
  for (const number of stored.finishedPieces) {
    const piece = stored.piece(number);
    if (piece === undefined) continue;
    if (piece.trafficType === 'backToSource') {
      fromSource += piece.length;
      continue;
    }
    fromPeers += piece.length;
    const peerId = piece.parentId ?? '';
    const peer = peers.get(peerId) ?? { peerId, pieces: 0, bytes: 0 };
    peers.set(peerId, peer);
    peer.pieces++;
    peer.bytes += piece.length;
  }
  return {
    layout: stored.layout,
    finishedPieces: stored.finishedPieces.size,
    isComplete: stored.isComplete,
    isPrivate: stored.isPrivate,
    bytes: { fromSource, fromPeers, byPeer: [...peers.values()].sort((a, b) => b.bytes - a.bytes) },
  };
}
