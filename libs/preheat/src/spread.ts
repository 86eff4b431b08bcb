import { each } from './each.ts';

/** Daemons that are asked in turn to fetch one file from the origin. */
export const MAX_FETCHERS = 3;

export interface Spreading<Host> {
  /** Has a daemon fetch from the origin. Must not reject. @param onStarted it knows the content and tells its scheduler @returns whether it has it */
  readonly fetch: (host: Host, onStarted: () => void) => Promise<boolean>;
  /** Has a daemon get it from the swarm. Must not reject. */
  readonly follow: (host: Host) => Promise<void>;
  /** Followers at once. */
  readonly concurrency: number;
  /** One daemon is enough. */
  readonly isSingle: boolean;
  readonly signal: AbortSignal;
}

/**
 * Has one daemon fetch a file, the next one if that fails, and the others once it has begun: they find it in the swarm, and the origin is
 * asked once. Never rejects.
 * @param targets who is to have it, in the order in which they are asked to fetch
 */
export async function spread<Host>(
  targets: readonly Host[],
  { fetch, follow, concurrency, isSingle, signal }: Spreading<Host>,
): Promise<void> {
  const tried = new Set<Host>();
  const begun = Promise.withResolvers<void>();
  const fetched = (async () => {
    for (const host of targets.slice(0, MAX_FETCHERS)) {
      tried.add(host);
      if ((await fetch(host, begun.resolve)) || signal.aborted) return;
    }
  })();
  if (!isSingle) {
    await Promise.race([begun.promise, fetched]);
    const others = targets.filter((target) => !tried.has(target));
    await each(others, concurrency, follow, { signal });
  }
  await fetched;
}
