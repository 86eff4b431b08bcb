import type { OriginLease } from '@d7y/peer-engine';

/**
 * The leases this daemon holds. A scheduler knows one lease per task and daemon; here several downloads of a task may share it, and it is
 * given back with the last of them.
 */
export class HeldLeases {
  readonly #holders = new Map<string, number>();
  readonly #onReturn: (taskId: string) => void;

  constructor(onReturn: (taskId: string) => void) {
    this.#onReturn = onReturn;
  }

  get taskIds(): Iterable<string> {
    return this.#holders.keys();
  }

  get size(): number {
    return this.#holders.size;
  }

  has(taskId: string): boolean {
    return this.#holders.has(taskId);
  }

  hold(taskId: string): OriginLease {
    this.#holders.set(taskId, (this.#holders.get(taskId) ?? 0) + 1);
    let isHeld = true;
    return {
      taskId,
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        const rest = (this.#holders.get(taskId) ?? 1) - 1;
        if (rest > 0) {
          this.#holders.set(taskId, rest);
          return;
        }
        this.#holders.delete(taskId);
        this.#onReturn(taskId);
      },
    };
  }
}
