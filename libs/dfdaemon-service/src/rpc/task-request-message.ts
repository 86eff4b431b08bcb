import { common } from '@d7y/api';
import type { TaskRequest } from '@d7y/peer-engine';
import { DEFAULT_FILTERED_QUERY_PARAMS, DfError, toRangeHeader } from '@d7y/piece';
import { type Access, type AccessPolicy, contentOf, splitCredentials } from '@d7y/registry-proxy';

/** A request that this daemon cannot serve as it stands. */
export class InvalidDownloadError extends DfError {
  override readonly name = 'InvalidDownloadError';
  readonly code = 'INVALID_ARGUMENT';
  readonly retryable = false;
}

/** The caller may not ask for this here. */
export class DownloadRefusedError extends DfError {
  override readonly name = 'DownloadRefusedError';
  readonly code = 'PERMISSION_DENIED';
  readonly retryable = false;
}

/** Priority LEVEL3: this peer goes to the origin itself. */
const PRIORITY_OF_PRIVATE = 3;

/**
 * Makes a task request of a published Download, once the origin has accepted the caller for content that it does not
 * serve to anybody.
 * @param authorities PEM, by which the origin may prove itself to this caller. What is said by an origin that nobody else vouches for counts for
 * this request alone, and no credentials of this node go there.
 * @param isForStore the caller gets no byte of it: a preheat may have private content brought here from the swarm (LEVEL3 without
 * credentials, the origin not to be asked), where only those get it whom the origin accepts
 * @throws {InvalidDownloadError} @throws {OriginStatusError} @throws {OriginUnreachableError}
 */
export async function authorisedTaskRequest(
  download: common.Download,
  access: Pick<AccessPolicy, 'decide' | 'apart'>,
  {
    signal,
    authorities,
    isForStore = false,
  }: { signal: AbortSignal; authorities?: string | undefined; isForStore?: boolean },
): Promise<TaskRequest> {
  const url = URL.parse(download.url);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new InvalidDownloadError(`only http and https URLs can be downloaded here`);
  }
  const { headers, credentials, rangeHeader } = headersOf(download);
  const filteredQueryParams =
    download.filteredQueryParams.length > 0 ? download.filteredQueryParams : [...DEFAULT_FILTERED_QUERY_PARAMS];
  const signing = new Set(filteredQueryParams.filter((name) => name !== 'ns'));
  const judge = authorities === undefined ? access : access.apart(authorities);
  const decision: Access = await judge.decide(
    {
      url: download.url,
      ...contentOf(url),
      headers,
      credentials,
      signature: [...url.searchParams].filter(([name]) => signing.has(name)).map(([name, value]) => `${name}=${value}`),
    },
    { signal },
  );
  const isKept =
    isForStore &&
    !decision.isPrivate &&
    download.priority === common.Priority.LEVEL3 &&
    download.disableBackToSource &&
    !download.needBackToSource;
  return {
    url: download.url,
    tag: download.tag,
    application: download.application,
    filteredQueryParams,
    requestedPieceLength: download.pieceLength ? Number(download.pieceLength) : undefined,
    contentForCalculatingTaskId: download.contentForCalculatingTaskId,
    // By its digest alone private content would be found through any repository, also of a registry that accepts everybody.
    enableTaskIdBasedBlobDigest: !decision.isPrivate && !isKept && download.enableTaskIdBasedBlobDigest,
    priority: decision.isPrivate ? PRIORITY_OF_PRIVATE : download.priority,
    headers,
    credentials: decision.credentials,
    authorities,
    isAccepted: decision.isAccepted || isKept,
    digest: download.digest === '' ? undefined : download.digest,
    rangeHeader,
    prefetch: download.prefetch,
    concurrentPieceCount: download.concurrentPieceCount,
    disableBackToSource: download.disableBackToSource,
    needBackToSource: download.needBackToSource,
  };
}

/** A range in the message wins over one in its headers. */
function headersOf({ requestHeader, range }: common.Download) {
  const lowerCase = Object.fromEntries(
    Object.entries(requestHeader).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return {
    ...splitCredentials(lowerCase),
    rangeHeader:
      range === undefined || range.length === 0n
        ? lowerCase['range']
        : toRangeHeader({ start: Number(range.start), length: Number(range.length) }),
  };
}
