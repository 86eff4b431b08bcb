import type { TagDirectory, TagKey, TagRecord } from '../manifests/tag-directory.ts';

/** Tags known to a swarm that is one process: every daemon of it gets a directory of its own over the same records. */
export class MemoryTagDirectory implements TagDirectory {
  readonly #records: TagRecord[];
  /** What was told here. */
  readonly recorded: TagRecord[] = [];
  /** Nobody can be asked or told. */
  isCutOff = false;

  /** @param swarm another daemon's directory */
  constructor(swarm?: MemoryTagDirectory) {
    this.#records = swarm === undefined ? [] : swarm.#records;
  }

  record(record: TagRecord): void {
    this.recorded.push(record);
    if (!this.isCutOff) this.#records.push(record);
  }

  find(key: TagKey): Promise<readonly TagRecord[]> {
    if (this.isCutOff) return Promise.resolve([]);
    const newest = new Map<string, TagRecord>();
    for (const record of this.#records) {
      const isSame = (['registry', 'repository', 'tag', 'accept'] as const).every((part) => record[part] === key[part]);
      if (isSame && (newest.get(record.digest)?.seenAtMs ?? -1) < record.seenAtMs) newest.set(record.digest, record);
    }
    return Promise.resolve([...newest.values()].sort((a, b) => b.seenAtMs - a.seenAtMs));
  }
}
