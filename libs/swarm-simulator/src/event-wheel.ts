const NONE = -1;
/** Of each event one row, so that it is looked up in one place of memory. */
const ROW_BITS = 2;
const NEXT = 0;
const PREVIOUS = 1;
/** The spoke it hangs on, the one aside among them, or NONE. */
const SPOKE = 2;
const DUE = 3;
/** What lies further ahead comes then. */
const LAST_TICK = 2 ** 31 - 1;

/**
 * A queue of events by time, in ticks. Each event is a number that its owner gives; it is in the queue at most once. Setting, moving and
 * cancelling cost constant time: lists of events hang on a wheel with a spoke per tick; what lies more than a turn ahead waits aside.
 * Events of one tick come in the order in which they were set.
 */
export class EventWheel {
  readonly #spokes: number;
  readonly #heads: Int32Array;
  readonly #tails: Int32Array;
  #rows: Int32Array;
  #nowTick = 0;
  #size = 0;

  /** @param options.spokes ticks per turn, a power of two */
  constructor(capacity: number, { spokes = 2 ** 15 }: { readonly spokes?: number } = {}) {
    this.#spokes = spokes;
    this.#heads = new Int32Array(spokes + 1).fill(NONE);
    this.#tails = new Int32Array(spokes + 1).fill(NONE);
    this.#rows = new Int32Array(capacity << ROW_BITS).fill(NONE);
  }

  get size(): number {
    return this.#size;
  }

  /** Makes room for events up to this number. */
  grow(capacity: number): void {
    if (capacity << ROW_BITS <= this.#rows.length) return;
    const rows = new Int32Array(capacity << ROW_BITS).fill(NONE);
    rows.set(this.#rows);
    this.#rows = rows;
  }

  isSet(event: number): boolean {
    return this.#rows[(event << ROW_BITS) + SPOKE] !== NONE;
  }

  /** When the event comes, as it was last set. */
  tickOf(event: number): number {
    return this.#rows[(event << ROW_BITS) + DUE];
  }

  /** Sets or moves an event. What is set into the past comes now. */
  set(event: number, atTick: number): void {
    const tick = Math.min(Math.max(Math.ceil(atTick), this.#nowTick), LAST_TICK);
    const row = event << ROW_BITS;
    if (this.#rows[row + SPOKE] !== NONE) {
      if (this.#rows[row + DUE] === tick) return;
      this.#unlink(event);
    }
    this.#rows[row + DUE] = tick;
    this.#link(event, this.#spokeFor(tick));
  }

  cancel(event: number): void {
    if (this.isSet(event)) this.#unlink(event);
  }

  /** Takes the next event of this tick; ticks may be passed over only when nothing is due in them. @returns -1 when there is none left */
  take(tick: number): number {
    this.#advance(tick);
    const event = this.#heads[tick & (this.#spokes - 1)];
    if (event !== NONE) this.#unlink(event);
    return event;
  }

  #advance(tick: number): void {
    while (this.#nowTick < tick) {
      this.#nowTick++;
      if ((this.#nowTick & (this.#spokes / 2 - 1)) !== 0) continue;
      let event = this.#heads[this.#spokes];
      while (event !== NONE) {
        const row = event << ROW_BITS;
        const following = this.#rows[row + NEXT];
        const spoke = this.#spokeFor(this.#rows[row + DUE]);
        if (spoke !== this.#spokes) {
          this.#unlink(event);
          this.#link(event, spoke);
        }
        event = following;
      }
    }
  }

  #spokeFor(tick: number): number {
    return tick - this.#nowTick >= this.#spokes / 2 ? this.#spokes : tick & (this.#spokes - 1);
  }

  #link(event: number, spoke: number): void {
    const rows = this.#rows;
    const row = event << ROW_BITS;
    const tail = this.#tails[spoke];
    rows[row + SPOKE] = spoke;
    rows[row + PREVIOUS] = tail;
    rows[row + NEXT] = NONE;
    if (tail === NONE) this.#heads[spoke] = event;
    else rows[(tail << ROW_BITS) + NEXT] = event;
    this.#tails[spoke] = event;
    this.#size++;
  }

  #unlink(event: number): void {
    const rows = this.#rows;
    const row = event << ROW_BITS;
    const spoke = rows[row + SPOKE];
    const next = rows[row + NEXT];
    const previous = rows[row + PREVIOUS];
    if (previous === NONE) this.#heads[spoke] = next;
    else rows[(previous << ROW_BITS) + NEXT] = next;
    if (next === NONE) this.#tails[spoke] = previous;
    else rows[(next << ROW_BITS) + PREVIOUS] = previous;
    rows[row + SPOKE] = NONE;
    this.#size--;
  }
}
