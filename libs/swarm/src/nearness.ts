import type { HostFacts } from './host.ts';
import type { Peer } from './peer.ts';

/** Elements of a location that count. */
const LOCATION_DEPTH = 5;
/** Of distances: more than the largest. */
const LOAD_STEP = 2 * LOCATION_DEPTH + 2;
/** More than any load, in steps of load. */
const DOUBT_STEP = 64 * LOAD_STEP;
/** More than any rank: whoever has as many children as it should comes after all others. */
export const FULL_STEP = 4 * DOUBT_STEP;
const NOWHERE: readonly string[] = [];

/** Where a host is, in lower case: places are compared without regard to case. */
export interface Place {
  readonly idc: string | undefined;
  /** The elements of its location that count, from the widest to the narrowest. */
  readonly location: readonly string[];
  /** The same for two hosts with the same location, of whatever depth. */
  readonly wholeLocation: string;
  /** Of its zone: its data centre, or else its location. */
  readonly zoneKey: string;
}

/** Many hosts share few places. */
const MAX_REMEMBERED_PLACES = 10_000;
const remembered = new Map<string, Place>();

export function placeOf({ idc, location = '' }: Pick<HostFacts, 'idc' | 'location'>): Place {
  const key = `${idc ?? ''}\n${location}\n${idc === undefined}`;
  let place = remembered.get(key);
  if (place === undefined) {
    const wholeLocation = location.toLowerCase();
    place = {
      idc: idc?.toLowerCase(),
      location: wholeLocation === '' ? NOWHERE : wholeLocation.split('|').slice(0, LOCATION_DEPTH),
      wholeLocation,
      zoneKey: (idc ?? location).toLowerCase(),
    };
    if (remembered.size >= MAX_REMEMBERED_PLACES) remembered.clear();
    remembered.set(key, place);
  }
  return place;
}

/**
 * How good a parent is for a child; less is better. Doubt counts before load, load before distance.
 * @param lot below 1; decides between equals
 */
export function rankOf(parent: Peer, child: Peer, lot: number): number {
  const others = parent.children.size - (child.parents.size > 0 && child.parents.has(parent) ? 1 : 0);
  const { host } = parent;
  const doubt = host.state.kind === 'suspect' ? 2 : host.isSlow ? 1 : 0;
  // In steps of powers of two (0, 1–2, 3–6 …), so that nearness decides between loads that differ by little.
  const load = 31 - Math.clz32(others + 1);
  return doubt * DOUBT_STEP + load * LOAD_STEP + distanceBetween(host.place, child.host.place) + lot;
}

/** 0 for the same data centre and place, more the less they share. */
function distanceBetween(a: Place, b: Place): number {
  if (a === b && a.idc !== undefined && a.wholeLocation !== '') return 0;
  const isSameIdc = a.idc !== undefined && a.idc === b.idc;
  return (isSameIdc ? 0 : LOCATION_DEPTH + 1) + LOCATION_DEPTH - sharedElements(a, b);
}

function sharedElements(a: Place, b: Place): number {
  if (a.wholeLocation === '' || b.wholeLocation === '') return 0;
  if (a.wholeLocation === b.wholeLocation) return LOCATION_DEPTH;
  const left = a.location;
  const right = b.location;
  let shared = 0;
  while (shared < left.length && left[shared] === right[shared]) shared++;
  return shared;
}
