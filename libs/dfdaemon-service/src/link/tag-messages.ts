import { create } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { TagRecord } from '@d7y/registry-proxy';

export const toTagMessage = (record: TagRecord): swarm.TagRecord =>
  create(swarm.TagRecordSchema, { ...record, size: BigInt(record.size), seenAtMs: BigInt(record.seenAtMs) });

export function fromTagMessage(message: swarm.TagRecord): TagRecord {
  const { registry, repository, tag, accept, digest, mediaType, size, seenAtMs } = message;
  return { registry, repository, tag, accept, digest, mediaType, size: Number(size), seenAtMs: Number(seenAtMs) };
}

/** One record per digest, the newest of each, newest first. */
export function newestFirst(records: Iterable<TagRecord>): TagRecord[] {
  const byDigest = new Map<string, TagRecord>();
  for (const record of records) {
    const known = byDigest.get(record.digest);
    if (known === undefined || known.seenAtMs < record.seenAtMs) byDigest.set(record.digest, record);
  }
  return [...byDigest.values()].sort((left, right) => right.seenAtMs - left.seenAtMs);
}
