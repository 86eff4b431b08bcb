import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import type { swarm } from '@d7y/api';
import { piecesOf } from '@d7y/peer-protocol';
import { createLayout } from '@d7y/piece';
import { isSecretHeader } from '@d7y/service-kit';
import type { RegistrationFacts } from '@d7y/swarm';
import { ConversationError } from '../errors.ts';
import { publicUrl } from './download.ts';
import { EncodedSource } from './encoded-source.ts';
import type { SeedDownloadOf, TaskRecord } from './records.ts';
import { safeNumber, toPriority } from './registration-facts.ts';

const MAX_ID_LENGTH = 512;
/** Of all that describes where a task comes from, in characters. */
const MAX_SOURCE_LENGTH = 64 * 1024;

/** What the swarm needs of a registration over a link. @throws {ConversationError} */
export function toLinkedFacts(hostId: string, message: swarm.Register): RegistrationFacts {
  const { taskId, peerId, priority, range, needBackToSource, metadataOnly, held } = message;
  checkIds(taskId, peerId);
  const { contentLength, pieceLength, pieceCount } = sizeOf(message.contentLength, message.pieceLength);
  return {
    hostId,
    taskId,
    peerId,
    needBackToSource,
    metadataOnly,
    priority: toPriority(priority),
    range: range === undefined ? undefined : { start: Number(range.start), length: Number(range.length) },
    contentLength,
    pieceLength,
    pieceCount,
    heldPieces: held === undefined ? undefined : piecesOf(held),
  };
}

/** A task that a daemon holds, as the registration of a peer that has everything. @throws {ConversationError} */
export function heldTaskFacts(hostId: string, held: swarm.HeldTask): RegistrationFacts {
  const { taskId, peerId, priority } = held;
  checkIds(taskId, peerId);
  return {
    ...{ hostId, taskId, peerId, needBackToSource: false, metadataOnly: true, range: undefined },
    priority: toPriority(priority),
    ...sizeOf(held.contentLength, held.pieceLength),
  };
}

/** The part of a registration that describes the task to others. */
export function toLinkedTaskRecord(source: swarm.TaskSource | undefined): TaskRecord {
  if (!isUsable(source))
    return { url: '', digest: undefined, tag: undefined, application: undefined, filteredQueryParams: [] };
  return {
    url: publicUrl(source.url),
    digest: source.digest || undefined,
    tag: source.tag || undefined,
    application: source.application || undefined,
    filteredQueryParams: source.filteredQueryParams,
  };
}

/** Makes what a seed is asked for any peer of the task; undefined where nobody could be asked. */
export const linkedSeedDownloadOf = (source: swarm.TaskSource | undefined): SeedDownloadOf | undefined =>
  isUsable(source) ? () => toSeedDownload(source) : undefined;

const isUsable = (source: swarm.TaskSource | undefined): source is swarm.TaskSource =>
  source !== undefined && sourceLengthOf(source) <= MAX_SOURCE_LENGTH;

function toSeedDownload(source: swarm.TaskSource): common.Download {
  return create(common.DownloadSchema, {
    url: source.url,
    type: common.TaskType.STANDARD,
    filteredQueryParams: source.filteredQueryParams,
    requestHeader: Object.fromEntries(Object.entries(source.requestHeaders).filter(([name]) => !isSecretHeader(name))),
    needBackToSource: true,
    enableTaskIdBasedBlobDigest: source.enableTaskIdBasedBlobDigest,
    ...(source.digest !== '' && { digest: source.digest }),
    ...(source.tag !== '' && { tag: source.tag }),
    ...(source.application !== '' && { application: source.application }),
    ...(source.contentForCalculatingTaskId !== '' && {
      contentForCalculatingTaskId: source.contentForCalculatingTaskId,
    }),
    ...(source.requestedPieceLength !== undefined && { pieceLength: source.requestedPieceLength }),
  });
}

function checkIds(taskId: string, peerId: string): void {
  for (const id of [taskId, peerId])
    if (id.length < 1 || id.length > MAX_ID_LENGTH) throw new ConversationError('register: no such id');
}

function sizeOf(
  contentLengthBytes: bigint | undefined,
  pieceLengthBytes: bigint | undefined,
): Pick<RegistrationFacts, 'contentLength' | 'pieceLength' | 'pieceCount'> {
  const contentLength = safeNumber(contentLengthBytes);
  const pieceLength = safeNumber(pieceLengthBytes) || undefined;
  const isKnown = contentLength !== undefined && pieceLength !== undefined;
  return { contentLength, pieceLength, pieceCount: isKnown ? pieceCountOf(contentLength, pieceLength) : undefined };
}

/** @throws {ConversationError} more pieces than a task can have */
function pieceCountOf(contentLength: number, pieceLength: number): number {
  try {
    return createLayout(contentLength, pieceLength).pieceCount;
  } catch (error) {
    throw new ConversationError('register: no such layout', { cause: error });
  }
}

/** Of all that describes where a task comes from, in characters, or more. */
export function sourceLengthOf(source: swarm.TaskSource | undefined): number {
  if (source === undefined) return 0;
  if (source instanceof EncodedSource) return source.byteLength;
  const { url, filteredQueryParams, requestHeaders, digest, tag, application, contentForCalculatingTaskId } = source;
  let length = url.length + digest.length + tag.length + application.length + contentForCalculatingTaskId.length;
  for (const name of filteredQueryParams) length += name.length;
  for (const [name, value] of Object.entries(requestHeaders)) length += name.length + value.length;
  return length;
}
