import type { HostView } from './host.ts';
import type { PeerView } from './peer.ts';

/** Peers looked at per choice: enough for a good one out of thousands, few enough to stay constant in their number. */
const SAMPLE_SIZE = 32;
/** Anchors looked at for the one that every offer has. */
const ANCHOR_SAMPLE_SIZE = 8;
/** Elements of a location that count. */
const LOCATION_DEPTH = 5;

/** Who shall be the parents of a child. */
export interface ParentQuestion {
  readonly child: PeerView;
  /** No more than this many. */
  readonly limit: number;
  readonly mayServe: (parent: PeerView) => boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Least loaded first, near before far, the rest at random, one of them always an anchor. */
export function chooseParents({ child, limit, mayServe, random }: ParentQuestion): readonly PeerView[] {
  const { sharers, anchors } = child.task;
  const rank = (peers: readonly PeerView[]): Ranked[] =>
    peers
      .filter(mayServe)
      .map((peer) => ({ peer, ...rankOf(peer, child), lot: random() }))
      .sort(byRank);
  const [anchor] = rank(anchors.sample(ANCHOR_SAMPLE_SIZE, random));
  const ranked = rank(sharers.sample(SAMPLE_SIZE, random));
  const others = ranked.filter(({ peer }) => peer !== anchor?.peer).slice(0, limit - (anchor === undefined ? 0 : 1));
  return (anchor === undefined ? others : [anchor, ...others].sort(byRank)).map(({ peer }) => peer);
}

interface Ranked {
  readonly peer: PeerView;
  readonly doubt: number;
  readonly load: number;
  readonly distance: number;
  readonly lot: number;
}

const byRank = (a: Ranked, b: Ranked): number =>
  a.doubt - b.doubt || a.load - b.load || a.distance - b.distance || a.lot - b.lot;

function rankOf(parent: PeerView, child: PeerView): { doubt: number; load: number; distance: number } {
  return {
    doubt: parent.host.state.kind === 'suspect' ? 1 : 0,
    // In steps of powers of two (0, 1–2, 3–6 …), so that nearness decides between loads that differ by little.
    load: Math.floor(Math.log2(parent.children.size + 1)),
    distance: distanceBetween(parent.host, child.host),
  };
}

/** 0 for the same data centre and place, more the less they share. */
export function distanceBetween(a: HostView, b: HostView): number {
  const sameIdc = a.facts.idc !== undefined && a.facts.idc.toLowerCase() === b.facts.idc?.toLowerCase();
  return (sameIdc ? 0 : LOCATION_DEPTH + 1) + LOCATION_DEPTH - sharedElements(a.facts.location, b.facts.location);
}

function sharedElements(a = '', b = ''): number {
  if (a === '' || b === '') return 0;
  if (a.toLowerCase() === b.toLowerCase()) return LOCATION_DEPTH;
  const left = a.toLowerCase().split('|').slice(0, LOCATION_DEPTH);
  const right = b.toLowerCase().split('|');
  const different = left.findIndex((element, index) => element !== right[index]);
  return different < 0 ? left.length : different;
}
