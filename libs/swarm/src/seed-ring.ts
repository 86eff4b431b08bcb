import { crc32 } from 'node:zlib';
import { createHash } from 'node:crypto';

/** Points of each seed on the ring. */
const POINTS_PER_SEED = 20;

/** Which seed a scheduler triggers for a task. */
export interface SeedRing {
  /** Members, each once, the pick of the task first, then in the order of the ring. */
  ordered(taskId: string): readonly string[];
}

/**
 * The ring by which schedulers pick a seed: 20 points per seed, CRC-32 over the decimal index followed by the member; a
 * task goes to the first point strictly greater than the CRC-32 of its id.
 * @param members `ip:port` of the seeds' upload service; duplicates count once
 */
export function seedRing(members: Iterable<string>): SeedRing {
  const points = [...new Set(members)]
    .flatMap((member) =>
      Array.from({ length: POINTS_PER_SEED }, (_, index) => ({ member, hash: crc32(`${index}${member}`) })),
    )
    .sort((a, b) => a.hash - b.hash);
  return {
    ordered(taskId) {
      const key = crc32(taskId);
      const first = points.findIndex(({ hash }) => hash > key);
      const start = first < 0 ? 0 : first;
      return [...new Set([...points.slice(start), ...points.slice(0, start)].map(({ member }) => member))];
    },
  };
}

/**
 * Seeds in the order in which a daemon asks them for a task when no scheduler answers: by the SHA-256 of seed and task
 * (rendezvous hashing), so that all daemons that know the same seeds ask the same one, and the loss of one seed moves
 * only its tasks.
 */
export function seedOrder(seedHostIds: Iterable<string>, taskId: string): readonly string[] {
  return [...new Set(seedHostIds)]
    .map((id) => ({ id, score: createHash('sha256').update(`${id}\0${taskId}`).digest('hex') }))
    .sort((a, b) => (a.score < b.score ? 1 : -1))
    .map(({ id }) => id);
}
