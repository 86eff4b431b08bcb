import type { Parents } from '@d7y/peer-engine';

/** Other daemons, with a look at how many of them this one is fetching from. */
export interface CountedParents extends Parents {
  /** Parents that are telling of their pieces right now. */
  readonly current: number;
}

export function countedParents(inner: Parents): CountedParents {
  const open = new Map<string, number>();
  return {
    get current() {
      return open.size;
    },
    turns: inner.turns,
    fetchPiece: (request, sink, options) => inner.fetchPiece(request, sink, options),
    watchLoad: (address, options) => inner.watchLoad(address, options),
    triggerSeed: (address, registration, options) => inner.triggerSeed(address, registration, options),
    async *syncPieces(address, request, options) {
      const key = `${address.ip} ${address.port}`;
      open.set(key, (open.get(key) ?? 0) + 1);
      try {
        yield* inner.syncPieces(address, request, options);
      } finally {
        const left = (open.get(key) ?? 1) - 1;
        if (left > 0) open.set(key, left);
        else open.delete(key);
      }
    },
  };
}
