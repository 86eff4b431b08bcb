import type { HostView } from './host.ts';
import type { PeerView } from './peer.ts';

/** Elements of a location that count. */
const LOCATION_DEPTH = 5;

/** How good a parent is for a child, by what counts most first. */
export interface Rank {
  readonly doubt: number;
  readonly load: number;
  readonly distance: number;
  readonly lot: number;
}

/** The best first. */
export const byRank = (a: Rank, b: Rank): number =>
  a.doubt - b.doubt || a.load - b.load || a.distance - b.distance || a.lot - b.lot;

/** @param lot decides between equals */
export function rankOf(parent: PeerView, child: PeerView, lot: number): Rank {
  const others = parent.children.size - (parent.children.has(child) ? 1 : 0);
  return {
    doubt: parent.host.state.kind === 'suspect' ? 2 : parent.host.isSlow ? 1 : 0,
    // In steps of powers of two (0, 1–2, 3–6 …), so that nearness decides between loads that differ by little.
    load: Math.floor(Math.log2(others + 1)),
    distance: distanceBetween(parent.host, child.host),
    lot,
  };
}

/** 0 for the same data centre and place, more the less they share. */
function distanceBetween(a: HostView, b: HostView): number {
  const sameIdc = a.facts.idc !== undefined && isSame(a.facts.idc, b.facts.idc);
  return (sameIdc ? 0 : LOCATION_DEPTH + 1) + LOCATION_DEPTH - sharedElements(a.facts.location, b.facts.location);
}

const isSame = (a: string, b: string | undefined): boolean => a === b || a.toLowerCase() === b?.toLowerCase();

function sharedElements(a = '', b = ''): number {
  if (a === '' || b === '') return 0;
  if (isSame(a, b)) return LOCATION_DEPTH;
  const left = elementsOf(a);
  const right = elementsOf(b);
  let shared = 0;
  while (shared < LOCATION_DEPTH && shared < left.length && left[shared] === right[shared]) shared++;
  return shared;
}

/** Many hosts share few places, and each is compared with many others. */
const MAX_REMEMBERED_PLACES = 10_000;
const remembered = new Map<string, readonly string[]>();

function elementsOf(location: string): readonly string[] {
  let elements = remembered.get(location);
  if (elements === undefined) {
    elements = location.toLowerCase().split('|');
    if (remembered.size >= MAX_REMEMBERED_PLACES) remembered.clear();
    remembered.set(location, elements);
  }
  return elements;
}
