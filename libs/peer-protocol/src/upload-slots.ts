/** Bounds of the uploads of a host. */
export interface UploadSlotsOptions {
  /** Large uploads that begin together: few, so that each piece is soon whole at somebody who can pass it on. */
  readonly maxTurns: number;
  /** An upload keeps others from beginning for so long at most, in ms: a slow child must not hold them up. */
  readonly turnMs: number;
  /** Uploads that run at once, slow and small ones with them. */
  readonly maxRunning: number;
  readonly maxWaiting: number;
}

/** An upload that wants to begin. */
export interface UploadRequest {
  /** Children take turns. */
  readonly child: string;
  /** It is over before others would notice it, and need not wait for a turn. */
  readonly isSmall: boolean;
}

interface Waiting {
  readonly isSmall: boolean;
  readonly begin: () => void;
}

/** Decides which uploads run: a few at a time, children in turn, those of one child in the order of their coming. */
export class UploadSlots {
  readonly #options: UploadSlotsOptions;
  #running = 0;
  #turns = 0;
  #waitingCount = 0;
  /** By child; the one whose turn is next comes first. */
  readonly #waiting = new Map<string, Set<Waiting>>();

  constructor(options: UploadSlotsOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  /** @returns what gives the slot back; undefined when too many wait already. Rejects with the reason of the signal. */
  async take({ child, isSmall }: UploadRequest, { signal }: { signal: AbortSignal }): Promise<Disposable | undefined> {
    signal.throwIfAborted();
    if (this.#mayBegin(isSmall)) return this.#begin(isSmall);
    if (this.#waitingCount >= this.#options.maxWaiting) return undefined;
    return await this.#turn(child, isSmall, signal);
  }

  #mayBegin(isSmall: boolean): boolean {
    const { maxRunning, maxTurns } = this.#options;
    return this.#running < maxRunning && (isSmall || this.#turns < maxTurns);
  }

  #begin(isSmall: boolean): Disposable {
    this.#running++;
    let hasTurn = !isSmall;
    if (hasTurn) this.#turns++;
    const endTurn = (): void => {
      if (hasTurn) this.#turns--;
      hasTurn = false;
      this.#next();
    };
    const timer = hasTurn ? setTimeout(endTurn, this.#options.turnMs).unref() : undefined;
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        this.#running--;
        endTurn();
      },
    };
  }

  #turn(child: string, isSmall: boolean, signal: AbortSignal): Promise<Disposable> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        isSmall,
        begin: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(this.#begin(isSmall));
        },
      };
      const onAbort = (): void => {
        this.#forget(child, waiting);
        reject(signal.reason as Error);
      };
      const line = this.#waiting.get(child) ?? new Set();
      this.#waiting.set(child, line.add(waiting));
      this.#waitingCount++;
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #forget(child: string, waiting: Waiting): void {
    const line = this.#waiting.get(child);
    if (line?.delete(waiting) !== true) return;
    this.#waitingCount--;
    if (line.size === 0) this.#waiting.delete(child);
  }

  /** Begins what may begin; a child that had its turn comes last. */
  #next(): void {
    for (const [child, line] of [...this.#waiting]) {
      const [first] = line;
      if (first === undefined || !this.#mayBegin(first.isSmall)) continue;
      this.#forget(child, first);
      if (line.size > 0) {
        this.#waiting.delete(child);
        this.#waiting.set(child, line);
      }
      first.begin();
    }
  }
}
