import type { IncomingHttpHeaders } from 'node:http';
import { parseRegistryPath } from '@d7y/oci';
import type { AccessRequest } from '../access/access-request.ts';
import { splitCredentials } from '../http-headers.ts';
import { normaliseAccept } from './accept.ts';
import type { TagKey } from './tag-directory.ts';

/** A request for a manifest that may be answered from here. */
export interface RoutedManifest {
  readonly method: 'GET' | 'HEAD';
  /** For a tag its digest is not known yet. */
  readonly request: AccessRequest;
  /** What is asked for: by digest, or by what a tag means. */
  readonly asked: { readonly kind: 'digest'; readonly digest: string } | { readonly kind: 'tag'; readonly key: TagKey };
}

/**
 * Reads a request as one for a manifest.
 * @param url at the upstream
 * @returns undefined for everything that client and registry should settle between themselves: other paths and methods, queries (an API
 *   of its own), ranges, bodies
 */
export function manifestOf(
  { method, headers: received }: { readonly method: string | undefined; readonly headers: IncomingHttpHeaders },
  url: URL,
): RoutedManifest | undefined {
  if ((method !== 'GET' && method !== 'HEAD') || url.search !== '' || received.range !== undefined) return undefined;
  const path = parseRegistryPath(url.pathname);
  if (path.kind !== 'manifest') return undefined;
  const { headers, credentials } = splitCredentials(received);
  const { repository, reference, isDigest } = path;
  const accept = normaliseAccept(headers['accept']);
  if (accept === undefined) return undefined;
  return {
    method,
    request: {
      url: url.href,
      upstream: url.origin,
      scope: repository,
      digest: isDigest ? reference : undefined,
      headers,
      credentials,
      signature: [],
    },
    asked: isDigest
      ? { kind: 'digest', digest: reference }
      : { kind: 'tag', key: { registry: url.origin, repository, tag: reference, accept } },
  };
}
