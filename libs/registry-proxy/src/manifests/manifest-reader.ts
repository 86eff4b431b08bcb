import { createHash } from 'node:crypto';
import { MANIFEST_ACCEPT, MAX_DOCUMENT_BYTES, parseManifestDocument } from '@d7y/oci';
import type { TaskOpener, TaskRequest, TaskStream } from '@d7y/peer-engine';
import { DfError } from '@d7y/piece';
import type { Access, AccessRequest } from '../access/access-request.ts';

/** Priority LEVEL3: this peer goes to the origin itself; no seed could. */
const PRIORITY_OF_PRIVATE = 3;
/** A seed is asked first. */
const PRIORITY_OF_PUBLIC = 6;

/** A manifest cannot be served from here; the registry can still serve it. */
export class UnfitManifestError extends DfError {
  override readonly name = 'UnfitManifestError';
  readonly code = 'UNFIT_MANIFEST';
  readonly retryable = false;
}

/** A manifest whose digest has matched. */
export interface Manifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** What it names: layers, configuration, the manifests of an index. Empty when it is no document that we understand. */
  readonly digests: readonly string[];
}

/**
 * What identifies the content in the swarm. Public manifests are the same content whatever repository they stand in, by any name; those of
 * a private repository are shared within it alone, because a right to read one repository is none to read another.
 */
export function manifestTaskContent(
  { upstream, scope }: Pick<AccessRequest, 'upstream' | 'scope'>,
  digest: string,
  isPrivate: boolean,
): string {
  return isPrivate ? `manifest ${upstream}/${scope}@${digest}` : `manifest ${digest}`;
}

/** The request for one manifest, whose task the whole swarm shares. */
export function manifestTaskRequest(request: AccessRequest, digest: string, access: Access): TaskRequest {
  const { accept } = request.headers;
  return {
    url: `${request.upstream}/v2/${request.scope}/manifests/${digest}`,
    filteredQueryParams: [],
    contentForCalculatingTaskId: manifestTaskContent(request, digest, access.isPrivate),
    enableTaskIdBasedBlobDigest: false,
    priority: access.isPrivate ? PRIORITY_OF_PRIVATE : PRIORITY_OF_PUBLIC,
    // The digest says which manifest it is, and registries refuse types that are not asked for: every caller asks for all.
    headers: { ...request.headers, accept: accept === undefined ? MANIFEST_ACCEPT : `${MANIFEST_ACCEPT}, ${accept}` },
    credentials: access.credentials,
    isAccepted: access.isAccepted,
    digest,
    disableBackToSource: false,
    needBackToSource: false,
  };
}

/**
 * Reads a manifest through the engine, whole.
 * @param opened told of the task as soon as it is known
 * @throws {UnfitManifestError} too long, or other content has taken its place
 * @throws what the engine throws
 */
export async function readManifest(
  engine: TaskOpener,
  request: TaskRequest,
  digest: string,
  opened: (stream: TaskStream) => void,
  { signal }: { signal: AbortSignal },
): Promise<Manifest> {
  await using stream = await engine.open(request, { signal });
  opened(stream);
  if ((stream.contentLength ?? 0) > MAX_DOCUMENT_BYTES) throw tooLong(digest);
  const parts: Uint8Array[] = [];
  let length = 0;
  await stream.deliver((bytes) => {
    length += bytes.length;
    if (length > MAX_DOCUMENT_BYTES) throw tooLong(digest);
    parts.push(Uint8Array.from(bytes));
    return Promise.resolve();
  });
  const bytes = Buffer.concat(parts);
  // A task's id may be claimed by whoever names its content; its bytes cannot.
  const [algorithm = '', hex] = digest.split(':');
  if (createHash(algorithm).update(bytes).digest('hex') !== hex) {
    throw new UnfitManifestError(`the content that is here as ${digest} has another digest`);
  }
  return { bytes, ...describe(bytes, stream.responseHeaders['content-type']) };
}

function describe(bytes: Uint8Array, contentType: string | undefined): Pick<Manifest, 'mediaType' | 'digests'> {
  try {
    const document = parseManifestDocument(bytes, contentType);
    const named = document.kind === 'index' ? document.manifests : [document.config, ...document.layers];
    // What it says of itself counts: it may have come from a peer, without the registry's headers.
    return { mediaType: document.mediaType, digests: [...new Set(named.map(({ digest }) => digest))] };
  } catch {
    if (contentType === undefined) throw new UnfitManifestError('nobody says what kind of manifest it is');
    return { mediaType: contentType, digests: [] };
  }
}

function tooLong(digest: string): UnfitManifestError {
  return new UnfitManifestError(`${digest} is longer than ${MAX_DOCUMENT_BYTES} bytes`);
}
