/** A signal that follows several others; disposing it takes its listeners off them again. */
export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal;
  /** Aborts this signal alone. */
  abort(reason?: unknown): void;
}

/**
 * A signal aborted when the first of `sources` is, with its reason, or by its own `abort`. Unlike `AbortSignal.any` it leaves
 * nothing behind on long-lived sources once disposed, so it may be made per piece or per request.
 */
export function linkedSignal(...sources: (AbortSignal | undefined)[]): LinkedSignal {
  const controller = new AbortController();
  const followed: { source: AbortSignal; onAbort: () => void }[] = [];
  const leave = () => {
    for (const { source, onAbort } of followed) source.removeEventListener('abort', onAbort);
    followed.length = 0;
  };
  const abort = (reason?: unknown) => {
    leave();
    controller.abort(reason);
  };
  for (const source of sources) {
    if (source === undefined) continue;
    if (source.aborted) {
      abort(source.reason);
      break;
    }
    const onAbort = () => abort(source.reason);
    source.addEventListener('abort', onAbort, { once: true });
    followed.push({ source, onAbort });
  }
  return { signal: controller.signal, abort, [Symbol.dispose]: leave };
}
