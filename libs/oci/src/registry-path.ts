import { isImageDigest, isRepository, isTag } from './image-reference.ts';

/** What a path of the registry API names (OCI distribution specification). */
export type RegistryPath =
  | { readonly kind: 'base' }
  | {
      readonly kind: 'manifest';
      readonly repository: string;
      /** Tag or digest. */
      readonly reference: string;
      readonly isDigest: boolean;
    }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'other' };

const OTHER: RegistryPath = { kind: 'other' };
/** A repository (255), a digest (135) and what stands between them. */
const MAX_PATH_LENGTH = 512;

/**
 * Reads the path of a URL, without its query. What is not a well-formed name of a manifest or blob is `other`, which a
 * proxy passes through as it came; percent-encoded names are `other` too.
 */
export function parseRegistryPath(path: string): RegistryPath {
  if (path === '/v2/' || path === '/v2') return { kind: 'base' };
  if (path.length > MAX_PATH_LENGTH) return OTHER;
  const [, repository, kind, reference] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
  if (repository === undefined || reference === undefined || !isRepository(repository)) return OTHER;
  const isDigest = isImageDigest(reference);
  if (kind === 'blobs') return isDigest ? { kind: 'blob', repository, digest: reference } : OTHER;
  return isDigest || isTag(reference) ? { kind: 'manifest', repository, reference, isDigest } : OTHER;
}
