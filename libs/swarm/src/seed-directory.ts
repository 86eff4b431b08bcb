import type { Host } from './host.ts';
import { seedRing } from './seed-ring.ts';
import type { SeedRing } from './seed-ring.ts';

/** The seeds that are known, and the ring of those that can be triggered. The ring is built when it is first needed. */
export class SeedDirectory {
  readonly #seeds = new Set<Host>();
  #ring: { ring: SeedRing; byAddress: ReadonlyMap<string, Host> } | undefined;

  add(seed: Host): void {
    this.#seeds.add(seed);
    this.changed();
  }

  delete(seed: Host): void {
    this.#seeds.delete(seed);
    this.changed();
  }

  /** To be called when the address or the state of a seed has changed. */
  changed(): void {
    this.#ring = undefined;
  }

  /** A seed announced itself and has not answered its first health check yet. */
  get hasUnproven(): boolean {
    for (const seed of this.#seeds) if (seed.state.kind === 'unproven') return true;
    return false;
  }

  *[Symbol.iterator](): Iterator<Host> {
    yield* this.#seeds;
  }

  /** Healthy seeds, the one that the task belongs to first. */
  forTask(taskId: string): readonly Host[] {
    this.#ring ??= this.#build();
    const { ring, byAddress } = this.#ring;
    return ring.ordered(taskId).flatMap((address) => byAddress.get(address) ?? []);
  }

  #build(): { ring: SeedRing; byAddress: ReadonlyMap<string, Host> } {
    const usable = [...this.#seeds].filter(
      ({ state, isLeaving }) => !isLeaving && (state.kind === 'alive' || state.kind === 'suspect'),
    );
    const byAddress = new Map(usable.map((seed) => [seed.address, seed]));
    return { ring: seedRing(byAddress.keys()), byAddress };
  }
}
