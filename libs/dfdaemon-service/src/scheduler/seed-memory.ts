import { readFile } from 'node:fs/promises';
import type { common } from '@d7y/api';
import type { RememberedSeed, SeedMemory } from '@d7y/peer-engine';
import { type Logger, replaceFile } from '@d7y/service-kit';
import { seedOrder } from '@d7y/swarm';
import { z } from 'zod';

/** More than this are no cluster's seeds. */
const MAX_SEEDS = 1000;

const fileSchema = z.object({
  version: z.literal(1),
  seeds: z
    .array(
      z.object({
        hostId: z.string().min(1).max(512),
        ip: z.ipv4().or(z.ipv6()),
        port: z.number().int().min(1).max(65_535),
      }),
    )
    .max(MAX_SEEDS),
});

/**
 * The seeds that schedulers named, for the time when none answers. Kept in one small file, replaced as a whole, so that a daemon
 * which starts without a scheduler knows them too. A damaged file is an empty one.
 */
export class PersistentSeedMemory implements SeedMemory {
  readonly #path: string;
  readonly #ownHostId: string;
  readonly #logger: Logger;
  /** What each scheduler said last, by its address; a scheduler that is gone keeps its word. */
  readonly #byScheduler = new Map<string, readonly RememberedSeed[]>();
  #all: readonly RememberedSeed[] = [];
  #saving: Promise<void> = Promise.resolve();

  private constructor(path: string, ownHostId: string, logger: Logger) {
    this.#path = path;
    this.#ownHostId = ownHostId;
    this.#logger = logger;
  }

  static async open(path: string, ownHostId: string, logger: Logger): Promise<PersistentSeedMemory> {
    const memory = new PersistentSeedMemory(path, ownHostId, logger);
    try {
      memory.#all = fileSchema
        .parse(JSON.parse(await readFile(path, 'utf8')))
        .seeds.filter(({ hostId }) => hostId !== ownHostId);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        logger.warn({ err: error, path }, 'remembered seeds are unreadable');
    }
    return memory;
  }

  /** Seeds in the order in which every daemon of the cluster asks them about a task. */
  ordered(taskId: string): readonly RememberedSeed[] {
    const byId = new Map(this.#all.map((seed) => [seed.hostId, seed]));
    return seedOrder(byId.keys(), taskId).flatMap((hostId) => byId.get(hostId) ?? []);
  }

  /** Takes what a scheduler says its seeds are. An empty list is no news: a scheduler that just started knows none yet. */
  learn(scheduler: string, hosts: readonly common.Host[]): void {
    const seeds = hosts
      .filter(({ id, port }) => id !== this.#ownHostId && port > 0)
      .map(({ id, ip, port }) => ({ hostId: id, ip, port }))
      .slice(0, MAX_SEEDS);
    if (seeds.length === 0) return;
    this.#byScheduler.set(scheduler, seeds);
    const all = new Map([...this.#byScheduler.values()].flat().map((seed) => [seed.hostId, seed]));
    const next = [...all.values()].sort((a, b) => (a.hostId < b.hostId ? -1 : 1)).slice(0, MAX_SEEDS);
    if (JSON.stringify(next) === JSON.stringify(this.#all)) return;
    this.#all = next;
    this.#saving = this.#saving.then(() => this.#save());
  }

  /** Forgets what schedulers that are no longer configured said. */
  keepSchedulers(addresses: ReadonlySet<string>): void {
    for (const address of this.#byScheduler.keys()) if (!addresses.has(address)) this.#byScheduler.delete(address);
  }

  /** Resolves when everything learnt so far is on disk, or could not be put there. */
  flush(): Promise<void> {
    return this.#saving;
  }

  async #save(): Promise<void> {
    try {
      await replaceFile(this.#path, JSON.stringify({ version: 1, seeds: this.#all }), { mode: 0o600 });
    } catch (error) {
      this.#logger.warn({ err: error, path: this.#path }, 'seeds cannot be remembered on disk');
    }
  }
}
