import { parseRegistryPath } from '@d7y/oci';
import type { OriginProbe, OriginRequest } from '@d7y/peer-engine';
import { parseContentRange } from '@d7y/piece';
import type { Exchange } from './exchange.ts';
import { contentHeaders, contentLengthOf, headerOf } from './header-rules.ts';
import { refused } from './refused.ts';
import type { RefusingHosts } from './refusing-hosts.ts';
import type { Asked, Requester } from './requester.ts';
import type { RetryPolicyOptions } from './retry-policy.ts';
import { Attempts, isPassing } from './retry-policy.ts';
import { asUnreachable, isRefusal, isWorthRepeating } from './unreachable.ts';

/** Content up to this length is fetched in one request: it has one piece. */
const ONE_REQUEST_BYTES = 4 * 2 ** 20;
/** Answers to HEAD that may only mean that HEAD is not served here: some signed targets of redirects, some registries. */
const REFUSES_HEAD = new Set([403, 404, 405, 501]);

/**
 * Finds out what there is at a URL. Blobs and manifests of a registry are asked for by HEAD, which costs the origin no byte of content
 * however many hosts ask; anything else, and whatever HEAD leaves open, by the first byte of a GET, because a signed URL is signed for
 * one method.
 * @throws {OriginStatusError} @throws {OriginUnreachableError}
 */
export async function probe(
  requester: Requester,
  retry: RetryPolicyOptions,
  refusing: RefusingHosts,
  request: OriginRequest,
  { signal }: { signal: AbortSignal },
): Promise<OriginProbe> {
  const ask = (asked: Asked) => askPatiently(requester, retry, refusing, request, asked, signal);
  if (mayAskByHead(request.url)) {
    const answer = await ask({ method: 'HEAD' });
    const told = answer.status === 200 ? toldByHead(answer) : undefined;
    if (told !== undefined) return told;
    if (answer.status !== 200 && !REFUSES_HEAD.has(answer.status)) throw refused(request.url, answer);
  }
  const first = await ask({ method: 'GET', range: 'bytes=0-0' });
  // Of no content not even the first byte exists. What the answer says of its length is not to be trusted: registries give that of the content.
  const answer = first.status === 416 ? await ask({ method: 'GET' }) : first;
  if (answer.status !== 200 && answer.status !== 206) throw refused(request.url, answer);
  const headers = contentHeaders(answer.headers);
  const contentLength = lengthOf(answer) ?? (await lengthByHead(ask));
  // A 200 to a request for a range says that ranges are not honoured, whatever Accept-Ranges says.
  return { contentLength, acceptsRanges: answer.status === 206, headers };
}

/** A query may be a signature, which holds for one method. */
function mayAskByHead(url: string): boolean {
  const parsed = URL.parse(url);
  if (parsed === null || parsed.search !== '') return false;
  const { kind } = parseRegistryPath(parsed.pathname);
  return kind === 'blob' || kind === 'manifest';
}

/** @returns undefined when the length is not told, or it is left open whether parts may be asked for */
function toldByHead({ headers }: Exchange): OriginProbe | undefined {
  const contentLength = contentLengthOf(headers);
  if (contentLength === undefined) return undefined;
  const acceptsRanges = headerOf(headers, 'accept-ranges')?.trim().toLowerCase() === 'bytes';
  if (!acceptsRanges && contentLength > ONE_REQUEST_BYTES) return undefined;
  return { contentLength, acceptsRanges, headers: contentHeaders(headers) };
}

function lengthOf({ status, headers }: Exchange): number | undefined {
  return status === 206 ? parseContentRange(headerOf(headers, 'content-range'))?.total : contentLengthOf(headers);
}

async function lengthByHead(ask: (asked: Asked) => Promise<Exchange>): Promise<number | undefined> {
  const { status, headers } = await ask({ method: 'HEAD' });
  return status === 200 ? contentLengthOf(headers) : undefined;
}

/** @returns an answer that will not pass by waiting; its body is left to nobody */
async function askPatiently(
  requester: Requester,
  retry: RetryPolicyOptions,
  refusing: RefusingHosts,
  request: OriginRequest,
  asked: Asked,
  signal: AbortSignal,
): Promise<Exchange> {
  const attempts = new Attempts(retry);
  for (;;) {
    let answer: Exchange;
    try {
      answer = await requester.send(request, asked, { signal });
    } catch (error) {
      signal.throwIfAborted();
      if (isRefusal(error)) attempts.refused({ isKnown: refusing.has(request.url) });
      if (isWorthRepeating(error) && (await attempts.again(undefined, { signal }))) continue;
      if (isRefusal(error)) refusing.refused(request.url);
      throw asUnreachable(request.url, error);
    }
    refusing.answered(request.url);
    // The answer to a HEAD has the length of a body, but no body.
    answer.body.discard(asked.method === 'HEAD' ? 0 : contentLengthOf(answer.headers));
    if (!isPassing(answer.status) || !(await attempts.again(answer, { signal }))) return answer;
  }
}
