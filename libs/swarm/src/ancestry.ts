import type { Peer } from './peer.ts';

/** More descendants than this are not walked through: an answer would cost more than it is worth. */
const MAX_DESCENDANTS = 1000;

/** Every peer that gets bytes from this one, directly or through others; undefined when there are too many to tell. */
export function descendantsOf(peer: Peer): ReadonlySet<Peer> | undefined {
  const found = new Set<Peer>();
  const open = [peer];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const child of next.children) {
      if (found.has(child)) continue;
      if (found.size === MAX_DESCENDANTS) return undefined;
      found.add(child);
      open.push(child);
    }
  }
  return found;
}
