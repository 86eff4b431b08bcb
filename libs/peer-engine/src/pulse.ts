/** Wakes everybody who waits for "something changed"; whoever wakes looks at the state again. */
export class Pulse {
  readonly #follower: Pulse | undefined;
  #waiting = new Set<() => void>();

  /** @param follower beats with this one, and by itself */
  constructor(follower?: Pulse) {
    this.#follower = follower;
  }

  beat(): void {
    this.#follower?.beat();
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Resolves at the next beat. @throws the signal's reason when it aborts first */
  async next({ signal }: { signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => reject(signal.reason as Error);
    this.#waiting.add(resolve);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await promise;
    } finally {
      this.#waiting.delete(resolve);
      signal.removeEventListener('abort', abort);
    }
  }
}
