import type { OriginProbe, OriginRequest } from '@d7y/peer-engine';
import { parseContentRange } from '@d7y/piece';
import type { Exchange } from './exchange.ts';
import { contentHeaders, contentLengthOf, headerOf } from './header-rules.ts';
import { refused } from './refused.ts';
import type { Asked, Requester } from './requester.ts';
import type { RetryPolicyOptions } from './retry-policy.ts';
import { Attempts, isPassing } from './retry-policy.ts';
import { asUnreachable, isWorthRepeating } from './unreachable.ts';

/**
 * Finds out what there is at a URL by asking for its first byte. GET rather than HEAD, because a signed URL is signed for one
 * method; HEAD only where the answer to GET does not tell the length.
 * @throws {OriginStatusError} @throws {OriginUnreachableError}
 */
export async function probe(
  requester: Requester,
  retry: RetryPolicyOptions,
  request: OriginRequest,
  { signal }: { signal: AbortSignal },
): Promise<OriginProbe> {
  const ask = (asked: Asked) => askPatiently(requester, retry, request, asked, signal);
  const first = await ask({ method: 'GET', range: 'bytes=0-0' });
  // Of no content not even the first byte exists. What the answer says of its length is not to be trusted: registries give that of the content.
  const answer = first.status === 416 ? await ask({ method: 'GET' }) : first;
  if (answer.status !== 200 && answer.status !== 206) throw refused(request.url, answer);
  const headers = contentHeaders(answer.headers);
  const contentLength = lengthOf(answer) ?? (await lengthByHead(ask));
  // A 200 to a request for a range says that ranges are not honoured, whatever Accept-Ranges says.
  return { contentLength, acceptsRanges: answer.status === 206, headers };
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
      if (isWorthRepeating(error) && (await attempts.again(undefined, { signal }))) continue;
      throw asUnreachable(request.url, error);
    }
    // The answer to a HEAD has the length of a body, but no body.
    answer.body.discard(asked.method === 'HEAD' ? 0 : contentLengthOf(answer.headers));
    if (!isPassing(answer.status) || !(await attempts.again(answer, { signal }))) return answer;
  }
}
