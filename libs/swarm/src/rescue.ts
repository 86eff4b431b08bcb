import type { Peer } from './peer.ts';
import type { Task } from './task.ts';

/** Peers looked at for one that is to go to the origin: among so many there is one that is about as good as the best. */
const CANDIDATES = 128;

/**
 * Who fetches what is missing, now that nobody has everything: a daemon of ours that has much already and sends fast. One that was told of
 * parents, so that it hears of this as it heard of them.
 */
export function bestPlaced(task: Task, random: () => number): Peer | undefined {
  let best: Peer | undefined;
  for (const peer of task.peers.sample(CANDIDATES, random))
    if (isAble(peer) && (best === undefined || isBetter(peer, best))) best = peer;
  return best;
}

function isAble({ host, link, state, demand, range, priority, task }: Peer): boolean {
  if (!host.isOwn || !host.isFit || host.state.kind === 'suspect') return false;
  if (link.kind !== 'attached' || demand.kind !== 'none' || range !== undefined) return false;
  if (state !== 'Running' && state !== 'ReceivedNormal') return false;
  return task.isPrivate ? priority === 3 : priority !== 1 && priority !== 2;
}

function isBetter(one: Peer, other: Peer): boolean {
  const better =
    Number(one.host.isLinked) - Number(other.host.isLinked) ||
    Number(other.host.isSlow) - Number(one.host.isSlow) ||
    one.finishedPieces.size - other.finishedPieces.size ||
    (one.host.facts.uploadBitsPerSecond ?? 0) - (other.host.facts.uploadBitsPerSecond ?? 0);
  return better > 0;
}
