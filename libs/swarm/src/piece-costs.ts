/** Costs remembered. */
const WINDOW = 2000;
/** While fewer are known, the last cost is judged by its ratio to the mean … */
const MAX_RATIO = 20;
/** … later by its distance in standard deviations. */
const MAX_DEVIATIONS = 3;

/** How long the pieces of a peer took, the last 2000 of them. */
export class PieceCosts {
  readonly #costs: number[] = [];
  #next = 0;
  #sum = 0;
  #sumOfSquares = 0;

  add(costMs: number): void {
    const dropped = this.#costs[this.#next] ?? 0;
    this.#costs[this.#next] = costMs;
    this.#next = (this.#next + 1) % WINDOW;
    this.#sum += costMs - dropped;
    this.#sumOfSquares += costMs * costMs - dropped * dropped;
  }

  /** The last piece took far longer than those before it. */
  get isLastOutlier(): boolean {
    const count = this.#costs.length;
    const last = this.#costs[(this.#next + WINDOW - 1) % WINDOW];
    if (count < 2 || last === undefined) return false;
    const mean = (this.#sum - last) / (count - 1);
    if (count < WINDOW) return last > MAX_RATIO * mean;
    const variance = (this.#sumOfSquares - last * last) / (count - 1) - mean * mean;
    return last > mean + MAX_DEVIATIONS * Math.sqrt(Math.max(0, variance));
  }
}
