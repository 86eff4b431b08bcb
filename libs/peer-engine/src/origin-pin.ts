import type { OriginProbe, OriginValidators } from './ports/origin.ts';
import type { StoredTask } from './ports/task-store.ts';

/**
 * What the origin must still say of content of which some is here already; undefined where nothing has to be watched: a digest decides better,
 * and mirrors that tag the same bytes differently do no harm then.
 */
export function pinOf({
  digest,
  layout,
  responseHeaders,
}: Pick<StoredTask, 'digest' | 'layout' | 'responseHeaders'>): OriginValidators | undefined {
  if (digest !== undefined) return undefined;
  const { etag, 'last-modified': lastModified } = responseHeaders;
  return { contentLength: layout.contentLength, etag, lastModified };
}

/** Whether the origin now has other content than what is held. What it says of neither is taken to be the same. */
export function isReplaced(held: Pick<StoredTask, 'responseHeaders' | 'layout'>, probe: OriginProbe): boolean {
  if (probe.contentLength !== undefined && probe.contentLength !== held.layout.contentLength) return true;
  const before = held.responseHeaders;
  const now = probe.headers;
  if (before['etag'] !== undefined && now['etag'] !== undefined) return before['etag'] !== now['etag'];
  const [then, later] = [before['last-modified'], now['last-modified']];
  return then !== undefined && later !== undefined && then !== later;
}
