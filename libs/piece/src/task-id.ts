import { createHash } from 'node:crypto';

/** Query parameters that sign or route a URL without naming other content; left out of ids unless a caller lists its own. */
export const DEFAULT_FILTERED_QUERY_PARAMS: readonly string[] = [
  ...['Algorithm', 'Credential', 'Date', 'Expires', 'SignedHeaders', 'Signature', 'Security-Token', 'User-Agent'].map(
    (name) => `X-Amz-${name}`,
  ),
  ...['Algorithm', 'Credential', 'Date', 'Expires', 'SignedHeaders', 'Signature'].map((name) => `X-Goog-${name}`),
  ...['OSSAccessKeyId', 'Expires', 'Signature', 'SecurityToken', 'AccessKeyId', 'X-Obs-Date', 'X-Obs-Security-Token'],
  ...['q-sign-algorithm', 'q-ak', 'q-sign-time', 'q-key-time', 'q-header-list', 'q-url-param-list', 'q-signature'],
  ...['x-cos-security-token', 'ns'],
];

/** What the id of a standard task depends on. An absent part and an empty one give the same id, but for the last two. */
export interface TaskIdInput {
  readonly url: string;
  readonly tag?: string | undefined;
  readonly application?: string | undefined;
  /** Revision of a model hub. */
  readonly revision?: string | undefined;
  /** Only a piece length that the caller asked for, in bytes; never the one the rule gives. */
  readonly pieceLength?: number | undefined;
  /** Query parameters left out of the URL; compared case-sensitively after decoding. */
  readonly filteredQueryParams?: readonly string[] | undefined;
  /** Takes the place of everything else. */
  readonly contentForCalculatingTaskId?: string | undefined;
  /** Use the digest itself as id where the URL is that of a registry blob. */
  readonly enableTaskIdBasedBlobDigest?: boolean | undefined;
}

const sha256Hex = (...parts: (string | Uint8Array)[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/**
 * Id of a standard task: 64 lower-case hex characters.
 * @throws {TypeError} when the URL does not parse
 */
export function taskIdOf(input: TaskIdInput): string {
  if (input.contentForCalculatingTaskId !== undefined) return sha256Hex(input.contentForCalculatingTaskId);
  if (input.enableTaskIdBasedBlobDigest) {
    const digest = blobDigestOf(input.url);
    // The piece protocol has 64 bytes for an id, which SHA-256 fits. Another algorithm of that length must not pass for it.
    if (digest !== undefined && /^sha256:[a-f0-9]{64}$/.test(digest)) return digest.slice('sha256:'.length);
  }
  return sha256Hex(
    hashedUrl(input.url, input.filteredQueryParams ?? []),
    input.tag ?? '',
    input.application ?? '',
    input.revision ?? '',
    input.pieceLength === undefined ? '' : String(input.pieceLength),
    'STANDARD',
  );
}

/**
 * Digest (`sha256:…`, not checked) in the URL of a registry blob, or undefined for any other URL. Answers as
 * `^.*://.*\/v2/.*\/blobs/([^?]+)(\?.*)?$` does, but in linear time: that expression takes seconds on a crafted URL.
 */
export function blobDigestOf(url: string): string | undefined {
  const scheme = url.indexOf('://');
  const prefix = scheme < 0 ? -1 : url.indexOf('/v2/', scheme + 3);
  if (prefix < 0) return undefined;
  for (let end = url.length; ;) {
    const marker = url.lastIndexOf('/blobs/', end);
    if (marker < prefix + 4) return undefined;
    const digest = url.slice(marker + 7).split('?', 1)[0];
    if (digest !== undefined && digest !== '') return digest;
    end = marker - 1;
  }
}

/**
 * The form of a URL that enters the id: parsed as WHATWG does, without the filtered parameters, the remaining query
 * encoded anew (also when nothing was filtered), and without the slash of an empty path.
 * @throws {TypeError} when the URL does not parse
 */
export function hashedUrl(text: string, filteredQueryParams: readonly string[]): string {
  const filtered = new Set(filteredQueryParams);
  const url = new URL(text);
  const kept = [...url.searchParams].filter(([name]) => !filtered.has(name));
  url.search = kept.length === 0 ? '' : new URLSearchParams(kept).toString();
  const result = url.toString();
  return url.pathname === '/' && result.endsWith('/') ? result.replace(/\/+$/, '') : result;
}

/** Id of a persistent task (an object in object storage). */
export function persistentTaskIdOf(input: { url: string; region?: string; endpoint?: string }): string {
  return sha256Hex(input.url, input.region ?? '', input.endpoint ?? '', 'PERSISTENT');
}

/** Id of a persistent cache task (an imported file), given its bytes. */
export function persistentCacheTaskIdOf(input: {
  content: Uint8Array;
  tag?: string;
  application?: string;
  pieceLength?: number;
}): string {
  const pieceLength = input.pieceLength === undefined ? '' : String(input.pieceLength);
  return sha256Hex(input.content, input.tag ?? '', input.application ?? '', pieceLength, 'PERSISTENT_CACHE');
}
