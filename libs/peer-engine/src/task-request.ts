import { blobDigestOf, formatDigest, parseDigest, taskIdOf } from '@d7y/piece';
import type { Secret } from '@d7y/service-kit';
import { isCheckable } from './content-hash.ts';
import type { OriginRequest } from './ports/origin.ts';

/** What one caller wants: the same for the proxy, for dfget and for a scheduler's trigger. */
export interface TaskRequest {
  /** http(s) URL as the caller gave it; may carry a signed query. */
  readonly url: string;
  readonly tag?: string | undefined;
  readonly application?: string | undefined;
  readonly filteredQueryParams: readonly string[];
  /** A piece length the caller insists on, in bytes; it becomes part of the task id. */
  readonly requestedPieceLength?: number | undefined;
  readonly contentForCalculatingTaskId?: string | undefined;
  readonly enableTaskIdBasedBlobDigest: boolean;
  /** 0–6, the published Priority. */
  readonly priority: number;
  /** Headers for the origin, without secrets, hop-by-hop headers and Range; lower-case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Secret headers for the origin (authorization, cookie …), lower-case. They never leave this host but to the origin. */
  readonly credentials: Readonly<Record<string, Secret>>;
  /** PEM certificates of authorities by which the origin may prove itself to this caller, beside those that everybody trusts. */
  readonly authorities?: string | undefined;
  /** The front end answers for the caller: it may have what is here of private content without the origin being asked. */
  readonly isAccepted?: boolean;
  /** `algorithm:encoded` of the whole content, when the caller knows it and the URL does not say. */
  readonly digest?: string | undefined;
  /** The caller's Range header as received; resolved against the content length. */
  readonly rangeHeader?: string | undefined;
  /** With a Range: the rest is fetched too, in the background. */
  readonly prefetch?: boolean | undefined;
  /** Pieces to ask for at the same time, at most; the configured number is the upper bound. */
  readonly concurrentPieceCount?: number | undefined;
  /** Rather fail than ask the origin. */
  readonly disableBackToSource: boolean;
  /** Go to the origin without asking for parents: how a scheduler, or a daemon without one, tells a seed to fetch. */
  readonly needBackToSource: boolean;
}

/**
 * Piece length that the caller insists on, in bytes; undefined where it is not part of the id: all who share an id must cut its content
 * alike.
 */
export function pieceLengthOfRequest(request: TaskRequest): number | undefined {
  if (request.contentForCalculatingTaskId !== undefined) return undefined;
  const digest = request.enableTaskIdBasedBlobDigest ? blobDigestOf(request.url) : undefined;
  return digest !== undefined && taskIdOfRequest(request) === digest.slice('sha256:'.length)
    ? undefined
    : request.requestedPieceLength;
}

/** The content at its origin, as the caller of the request may ask for it. */
export function originRequestOf({ url, headers, credentials, authorities }: TaskRequest): OriginRequest {
  return { url, headers, credentials, authorities };
}

/** Id of the task that the request belongs to. @throws {TypeError} when the URL does not parse */
export function taskIdOfRequest(request: TaskRequest): string {
  return taskIdOf({ ...request, pieceLength: request.requestedPieceLength });
}

/** The digest by which a registry blob is named, where it is one that can stand for its content. */
export function digestInUrl(url: string): string | undefined {
  const digest = blobDigestOf(url);
  return digest !== undefined && /^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/.test(digest) ? digest : undefined;
}

/**
 * Digest of the whole content: what the URL of a registry blob says, else what the caller says. The URL comes first because the
 * id may be made of it: nobody may have other bytes verified and kept under a blob's name.
 */
export function digestOfRequest(request: TaskRequest): string | undefined {
  return digestInUrl(request.url) ?? request.digest;
}

/** Digest of the whole content by which it can be checked here, in normal form. @throws {DigestFormatError} */
export function checkableDigestOf(request: TaskRequest): string | undefined {
  const digest = digestOfRequest(request);
  return digest !== undefined && isCheckable(digest) ? formatDigest(parseDigest(digest)) : undefined;
}
