import type { Peer } from './peer.ts';

/** More descendants than this are not walked through: an answer would cost more than it is worth. */
const MAX_DESCENDANTS = 1000;

/** Every peer that gets bytes from another one, directly or through others. */
export interface Descendants {
  has(peer: object): boolean;
  /** Bytes reach this descendant on some way that touches a stock peer, itself included. */
  isBehindStock(peer: object): boolean;
}

/** @returns undefined when there are too many to tell */
export function descendantsOf(peer: Peer): Descendants | undefined {
  const found = new Map<object, { behindStock: boolean }>();
  const open: { peer: Peer; behindStock: boolean }[] = [{ peer, behindStock: false }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const child of next.peer.children) {
      const behindStock = next.behindStock || !child.host.isOwn;
      const known = found.get(child);
      // A second way to a known peer matters only when it is the first to touch a stock peer.
      if (known !== undefined && (known.behindStock || !behindStock)) continue;
      if (known === undefined && found.size === MAX_DESCENDANTS) return undefined;
      found.set(child, { behindStock });
      open.push({ peer: child, behindStock });
    }
  }
  return { has: (other) => found.has(other), isBehindStock: (other) => found.get(other)?.behindStock === true };
}
