/**
 * A few candidates, of whom the best are wanted. There is one for every registration of a stock peer, so nothing is sorted and nobody wrapped:
 * taking one costs a look at each number.
 */
export class Ranking<Candidate> {
  readonly #candidates: Candidate[] = [];
  readonly #ranks: number[] = [];

  /** @param rank less is better; of equals the first that was added comes first */
  add(candidate: Candidate, rank: number): void {
    this.#candidates.push(candidate);
    this.#ranks.push(rank);
  }

  /** Up to so many of those that were not taken yet, the best first. */
  takeBest(count: number): Candidate[] {
    const taken: Candidate[] = [];
    while (taken.length < count) {
      let best = -1;
      let least = Infinity;
      for (let place = 0; place < this.#ranks.length; place++) {
        const rank = this.#ranks[place] ?? Infinity;
        if (rank >= least) continue;
        least = rank;
        best = place;
      }
      const candidate = this.#candidates[best];
      if (candidate === undefined) break;
      this.#ranks[best] = Infinity;
      taken.push(candidate);
    }
    return taken;
  }
}
