import { parseRegistryPath } from '@d7y/oci';
import type { Secret } from '@d7y/service-kit';

/** Secret headers by lower-case name. */
export type Credentials = Readonly<Record<string, Secret>>;

export const NO_CREDENTIALS: Credentials = {};

/** A request for content, as far as it matters for who may have it. */
export interface AccessRequest {
  /** At the upstream; may carry a signed query. */
  readonly url: string;
  /** Scheme and authority of the upstream. */
  readonly upstream: string;
  /** The repository, or the path of what is no registry content: what an origin opens or closes as a whole. */
  readonly scope: string;
  /** The blob or manifest within the scope. */
  readonly digest: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly credentials: Credentials;
  /** Values of query parameters that sign the URL; they prove the caller like a header does. */
  readonly signature: readonly string[];
}

/** How the content is to be fetched, and that it may be. */
export interface Access {
  /** The origin refuses this content to nobody in particular. */
  readonly isPrivate: boolean;
  /** What the download may use; empty for public content, whatever the caller sent. */
  readonly credentials: Credentials;
  /** The caller may have what is here of it, private or not: nobody needs to ask the origin again. */
  readonly isAccepted: boolean;
}

/** What a URL names, and within what. */
export function contentOf(url: URL): Pick<AccessRequest, 'upstream' | 'scope' | 'digest'> {
  const path = parseRegistryPath(url.pathname);
  const upstream = url.origin;
  if (path.kind === 'blob') return { upstream, scope: path.repository, digest: path.digest };
  if (path.kind === 'manifest') {
    return { upstream, scope: path.repository, digest: path.isDigest ? path.reference : url.pathname };
  }
  return { upstream, scope: url.pathname, digest: undefined };
}

/** Whether a caller brings nothing that tells it from anybody else. */
export function isNobody({ credentials, signature }: Pick<AccessRequest, 'credentials' | 'signature'>): boolean {
  return Object.keys(credentials).length === 0 && signature.length === 0;
}
