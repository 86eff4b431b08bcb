import type { Peer } from './peer.ts';

/** Every peer that gets bytes from this one, directly or through others. */
export function descendantsOf(peer: Peer): ReadonlySet<Peer> {
  const found = new Set<Peer>();
  const open = [peer];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const child of next.children) {
      if (found.has(child)) continue;
      found.add(child);
      open.push(child);
    }
  }
  return found;
}
