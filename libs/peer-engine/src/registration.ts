import type { PeerRegistration } from '@d7y/peer-protocol';
import type { TaskLayout } from '@d7y/piece';
import { hashedUrl } from '@d7y/piece';
import type { TaskRequest } from './task-request.ts';
import { digestOfRequest, pieceLengthOfRequest, taskIdOfRequest } from './task-request.ts';

/** A request with this priority tells everybody that its peer goes to the origin itself (Priority.LEVEL3). */
export const PRIORITY_SELF = 3;

/** The URL that others may know: signed query parameters stay here. */
export function publicUrlOf(request: TaskRequest): string {
  return hashedUrl(request.url, request.filteredQueryParams);
}

/** How a download introduces itself to schedulers and seeds. */
export function registrationOf(
  request: TaskRequest,
  peer: {
    readonly hostId: string;
    readonly peerId: string;
    readonly isPrivate: boolean;
    /** Pieces it fetches at the same time. */
    readonly concurrentPieceCount: number;
    /** Secret headers go along: stock seeds need them for private content. */
    readonly forwardCredentials: boolean;
  },
  layout: TaskLayout | undefined,
): PeerRegistration {
  return {
    hostId: peer.hostId,
    taskId: taskIdOfRequest(request),
    peerId: peer.peerId,
    url: publicUrlOf(request),
    tag: request.tag,
    application: request.application,
    digest: digestOfRequest(request),
    filteredQueryParams: request.filteredQueryParams,
    requestHeaders: peer.forwardCredentials ? { ...request.headers, ...revealed(request) } : request.headers,
    requestedPieceLength: pieceLengthOfRequest(request),
    priority: peer.isPrivate ? PRIORITY_SELF : request.priority,
    range: undefined,
    contentLength: layout?.contentLength,
    pieceLength: layout?.pieceLength,
    needBackToSource: request.needBackToSource,
    metadataOnly: false,
    concurrentPieceCount: peer.concurrentPieceCount,
    contentForCalculatingTaskId: request.contentForCalculatingTaskId,
    enableTaskIdBasedBlobDigest: request.enableTaskIdBasedBlobDigest,
  };
}

/** Secrets in the clear, for those who asked for them to be forwarded. */
function revealed({ credentials }: TaskRequest): Record<string, string> {
  return Object.fromEntries(Object.entries(credentials).map(([name, secret]) => [name, secret.reveal()]));
}
