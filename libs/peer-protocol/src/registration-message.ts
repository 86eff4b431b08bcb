import { create } from '@bufbuild/protobuf';
import { common } from '@d7y/api';
import type { PeerRegistration } from './announcement.ts';

/** Never sent to another process, should a caller have left them among the headers. */
const SECRET_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-registry-auth',
  'x-amz-security-token',
]);

/**
 * A registration as common.v2.Download. What is unknown stays absent: to a scheduler a content length of 0 is an empty
 * task, and texts that are present must not be empty.
 */
export function toDownloadMessage(registration: PeerRegistration): common.Download {
  const { contentLength, pieceLength, range } = registration;
  return create(common.DownloadSchema, {
    url: registration.url,
    type: common.TaskType.STANDARD,
    priority: priorityOf(registration.priority),
    filteredQueryParams: [...registration.filteredQueryParams],
    requestHeader: publicHeadersOf(registration.requestHeaders),
    needBackToSource: registration.needBackToSource,
    metadataOnly: registration.metadataOnly,
    concurrentPieceCount: registration.concurrentPieceCount,
    enableTaskIdBasedBlobDigest: registration.enableTaskIdBasedBlobDigest,
    ...(registration.digest ? { digest: registration.digest } : {}),
    ...(registration.tag ? { tag: registration.tag } : {}),
    ...(registration.application ? { application: registration.application } : {}),
    ...(registration.contentForCalculatingTaskId
      ? { contentForCalculatingTaskId: registration.contentForCalculatingTaskId }
      : {}),
    ...(registration.requestedPieceLength === undefined
      ? {}
      : { pieceLength: BigInt(registration.requestedPieceLength) }),
    ...(range === undefined ? {} : { range: { start: BigInt(range.start), length: BigInt(range.length) } }),
    ...(contentLength === undefined ? {} : { actualContentLength: BigInt(contentLength) }),
    ...(pieceLength === undefined ? {} : { actualPieceLength: BigInt(pieceLength) }),
    ...(contentLength === undefined || pieceLength === undefined
      ? {}
      : { actualPieceCount: BigInt(Math.ceil(contentLength / pieceLength)) }),
  });
}

/** What of the headers of a request another process may know. */
export function publicHeadersOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !SECRET_HEADERS.has(name.toLowerCase())));
}

/** Numbers that name no level are as good as none. */
function priorityOf(level: number): common.Priority {
  const levels = Object.values(common.Priority).filter((value) => typeof value === 'number');
  return levels.find((value) => Number(value) === level) ?? common.Priority.LEVEL0;
}
