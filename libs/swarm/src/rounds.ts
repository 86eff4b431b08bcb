/** Entries of a table looked at in one go: a millisecond or two. */
const AT_ONCE = 4_096;

/**
 * Goes through a table again and again, an interval between the beginnings of two rounds, and a part of it at a time. What is put into the
 * table meanwhile is looked at in this round, or in the next.
 */
export class Rounds<T> {
  readonly #table: ReadonlyMap<string, T>;
  #begunAtMs: number;
  #left: Iterator<T> | undefined;

  /** @param nowMs the first round begins an interval after that */
  constructor(table: ReadonlyMap<string, T>, nowMs: number) {
    this.#table = table;
    this.#begunAtMs = nowMs;
  }

  /** Goes on, or begins a round that is due. @param look may take entries out of the table */
  go(nowMs: number, intervalMs: number, look: (entry: T) => void): void {
    if (this.#left === undefined) {
      if (nowMs - this.#begunAtMs < intervalMs) return;
      this.#begunAtMs = nowMs;
      this.#left = this.#table.values();
    }
    for (let count = 0; count < AT_ONCE; count++) {
      const next = this.#left.next();
      if (next.done === true) {
        this.#left = undefined;
        return;
      }
      look(next.value);
    }
  }
}
