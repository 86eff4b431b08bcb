/** Who profits from pieces of a task before the whole is here: readers that are given them, and daemons to which they are passed on. */
export class Audience {
  /** Somebody came where nobody was. */
  onArrival: (() => void) | undefined;
  #members = 0;

  get isThere(): boolean {
    return this.#members > 0;
  }

  /** Somebody is there until disposed. */
  join(): Disposable {
    let isIn = true;
    if (++this.#members === 1) this.onArrival?.();
    return {
      [Symbol.dispose]: () => {
        if (isIn) this.#members--;
        isIn = false;
      },
    };
  }
}
