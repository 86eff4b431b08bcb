import { create } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { Offence, TagMeaning, TagName } from '@d7y/swarm';
import { ConversationError } from '../errors.ts';

/** Most characters of each field of a tag. */
const MAX_LENGTH = { registry: 512, repository: 512, tag: 256, accept: 2_048, mediaType: 256 } as const;
/** Registries keep manifests below 4 MiB. */
const MAX_MANIFEST_BYTES = 64 * 2 ** 20;
const DIGEST = /^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$/;

const OFFENCES: Readonly<Partial<Record<swarm.Offence, Offence>>> = {
  [swarm.Offence.WRONG_BYTES]: 'wrongBytes',
  [swarm.Offence.FALSE_VOUCHER]: 'falseVoucher',
  [swarm.Offence.STALLED]: 'stalled',
  [swarm.Offence.UNREACHABLE]: 'unreachable',
};

export const offenceOf = (offence: swarm.Offence): Offence | undefined => OFFENCES[offence];

/** @throws {ConversationError} */
export function checkTagName(name: TagName): void {
  for (const field of ['registry', 'repository', 'tag', 'accept'] as const) {
    if (name[field].length > MAX_LENGTH[field]) throw new ConversationError(`tag: ${field} is too long`);
  }
  if (name.registry === '' || name.repository === '' || name.tag === '')
    throw new ConversationError('tag: without a name');
}

/** @throws {ConversationError} */
export function toTagMeaning(record: swarm.TagRecord): TagMeaning {
  checkTagName(record);
  const { registry, repository, tag, accept, digest, mediaType } = record;
  const size = Number(record.size);
  const seenAtMs = Number(record.seenAtMs);
  if (!DIGEST.test(digest)) throw new ConversationError('tag: no digest');
  if (mediaType.length > MAX_LENGTH.mediaType) throw new ConversationError('tag: mediaType is too long');
  if (size > MAX_MANIFEST_BYTES) throw new ConversationError('tag: no manifest is that large');
  if (!Number.isSafeInteger(seenAtMs)) throw new ConversationError('tag: no time');
  return { registry, repository, tag, accept, digest, mediaType, size, seenAtMs };
}

export const toTagRecord = (meaning: TagMeaning): swarm.TagRecord =>
  create(swarm.TagRecordSchema, { ...meaning, size: BigInt(meaning.size), seenAtMs: BigInt(meaning.seenAtMs) });
