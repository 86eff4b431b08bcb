const NONE = -1;

/**
 * A queue of events by time, in ticks. Each event is a number that its owner gives; it is in the queue at most once. Setting, moving and
 * cancelling cost constant time: lists of events hang on a wheel with a spoke per tick; what lies more than a turn ahead waits aside.
 * Events of one tick come in the order in which they were set.
 */
export class EventWheel {
  readonly #spokes: number;
  readonly #heads: Int32Array;
  readonly #tails: Int32Array;
  #next: Int32Array;
  #previous: Int32Array;
  /** The spoke an event hangs on, the one aside among them, or NONE. */
  #spokeOf: Int32Array;
  #dueTick: Float64Array;
  #nowTick = 0;
  #size = 0;

  /** @param options.spokes ticks per turn, a power of two */
  constructor(capacity: number, { spokes = 2 ** 15 }: { readonly spokes?: number } = {}) {
    this.#spokes = spokes;
    this.#heads = new Int32Array(spokes + 1).fill(NONE);
    this.#tails = new Int32Array(spokes + 1).fill(NONE);
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#spokeOf = new Int32Array(capacity).fill(NONE);
    this.#dueTick = new Float64Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** Makes room for events up to this number. */
  grow(capacity: number): void {
    if (capacity <= this.#next.length) return;
    const widened = <T extends Int32Array | Float64Array>(made: T, from: T): T => {
      made.set(from);
      return made;
    };
    this.#next = widened(new Int32Array(capacity), this.#next);
    this.#previous = widened(new Int32Array(capacity), this.#previous);
    this.#spokeOf = widened(new Int32Array(capacity).fill(NONE), this.#spokeOf);
    this.#dueTick = widened(new Float64Array(capacity), this.#dueTick);
  }

  isSet(event: number): boolean {
    return this.#spokeOf[event] !== NONE;
  }

  /** When the event comes, as it was last set. */
  tickOf(event: number): number {
    return this.#dueTick[event];
  }

  /** Sets or moves an event. What is set into the past comes now. */
  set(event: number, atTick: number): void {
    const tick = Math.max(Math.ceil(atTick), this.#nowTick);
    if (this.#spokeOf[event] !== NONE) {
      if (this.#dueTick[event] === tick) return;
      this.#unlink(event);
    }
    this.#dueTick[event] = tick;
    this.#link(event, this.#spokeFor(tick));
  }

  cancel(event: number): void {
    if (this.#spokeOf[event] !== NONE) this.#unlink(event);
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
        const following = this.#next[event];
        const spoke = this.#spokeFor(this.#dueTick[event]);
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
    const tail = this.#tails[spoke];
    this.#spokeOf[event] = spoke;
    this.#previous[event] = tail;
    this.#next[event] = NONE;
    if (tail === NONE) this.#heads[spoke] = event;
    else this.#next[tail] = event;
    this.#tails[spoke] = event;
    this.#size++;
  }

  #unlink(event: number): void {
    const spoke = this.#spokeOf[event];
    const next = this.#next[event];
    const previous = this.#previous[event];
    if (previous === NONE) this.#heads[spoke] = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#tails[spoke] = previous;
    else this.#previous[next] = previous;
    this.#spokeOf[event] = NONE;
    this.#size--;
  }
}
