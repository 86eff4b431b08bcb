/** What is to be looked at again, and when. Entries of the same time come out in the order in which they went in. */
export class Agenda<T> {
  /** A binary heap, the earliest first. */
  readonly #entries: { readonly atMs: number; readonly order: number; readonly item: T }[] = [];
  #order = 0;
  #remindedOfMs = Infinity;

  add(atMs: number, item: T): void {
    const entries = this.#entries;
    const entry = { atMs, order: this.#order++, item };
    let index = entries.push(entry) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = entries[above];
      if (parent === undefined || !isBefore(entry, parent)) break;
      entries[index] = parent;
      index = above;
    }
    entries[index] = entry;
  }

  /** Takes out the next entry that is due. */
  takeDue(nowMs: number): T | undefined {
    const entries = this.#entries;
    const first = entries[0];
    if (first === undefined || first.atMs > nowMs) return undefined;
    const last = entries.pop();
    if (last === undefined || last === first) return first.item;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const leftEntry = entries[left];
      if (leftEntry === undefined) break;
      const rightEntry = entries[left + 1];
      const isRight = rightEntry !== undefined && isBefore(rightEntry, leftEntry);
      const child = isRight ? rightEntry : leftEntry;
      if (!isBefore(child, last)) break;
      entries[index] = child;
      index = isRight ? left + 1 : left;
    }
    entries[index] = last;
    return first.item;
  }

  /** @returns when the next entry is due, where that was not said before */
  reminder(nowMs: number): number | undefined {
    if (this.#remindedOfMs <= nowMs) this.#remindedOfMs = Infinity;
    const nextMs = this.#entries[0]?.atMs ?? Infinity;
    if (nextMs >= this.#remindedOfMs) return undefined;
    this.#remindedOfMs = nextMs;
    return nextMs;
  }
}

const isBefore = (a: { atMs: number; order: number }, b: { atMs: number; order: number }): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
