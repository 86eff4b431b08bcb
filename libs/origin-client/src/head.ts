import type { OriginRequest } from '@d7y/peer-engine';
import { contentHeaders, contentLengthOf, refusalHeaders } from './header-rules.ts';
import { refused } from './refused.ts';
import type { Requester } from './requester.ts';
import { asUnreachable } from './unreachable.ts';

/** What an origin says of content, or of who may have it, without sending anything. */
export interface HeadAnswer {
  /** 200, or the status of a redirect, which is not followed: the origin has decided by then. */
  readonly status: number;
  /** Bytes; undefined where it does not tell. */
  readonly contentLength: number | undefined;
  /** End-to-end headers that describe the content, lower-case. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Asks once by HEAD, which registries do not count as a pull. Without another attempt: whoever asks has something to fall back on.
 * @throws {OriginStatusError} @throws {OriginUnreachableError}
 */
export async function head(
  requester: Requester,
  request: OriginRequest,
  { signal }: { signal: AbortSignal },
): Promise<HeadAnswer> {
  let answer;
  try {
    answer = await requester.send(request, { method: 'HEAD', staysHere: true }, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw asUnreachable(request.url, error);
  }
  const { status, headers, body } = answer;
  body.discard(0);
  const isRedirect = status >= 300 && status < 400 && refusalHeaders(headers)['location'] !== undefined;
  if (status !== 200 && !isRedirect) throw refused(request.url, answer);
  return {
    status,
    contentLength: isRedirect ? undefined : contentLengthOf(headers),
    headers: contentHeaders(headers),
  };
}
