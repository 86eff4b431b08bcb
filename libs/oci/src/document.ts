import { OciDocumentError } from './errors.ts';
import { isImageDigest } from './image-reference.ts';

/** A document or blob as another document names it. */
export interface Descriptor {
  /** Empty where an old index leaves it out. */
  readonly mediaType: string;
  /** `algorithm:hex`, well formed. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** Only in an index. */
  readonly platform: Platform | undefined;
}

/** What a manifest of an index runs on. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** Empty where the architecture has none. */
  readonly variant: string;
}

/** What a manifest URL answers with. */
export type ManifestDocument =
  | {
      readonly kind: 'manifest';
      readonly mediaType: string;
      readonly config: Descriptor;
      readonly layers: readonly Descriptor[];
    }
  | { readonly kind: 'index'; readonly mediaType: string; readonly manifests: readonly Descriptor[] };

/** Documents longer than this are not parsed; registries refuse to store them. */
export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
/** More layers or manifests than this are refused. */
export const MAX_DESCRIPTORS = 4096;

const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;
const INDEX_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
] as const;

/** The Accept header of a request for a manifest. */
export const MANIFEST_ACCEPT = [...MANIFEST_TYPES, ...INDEX_TYPES].join(', ');

/** Media types of the documents that are read here. */
export const MANIFEST_MEDIA_TYPES: readonly string[] = [...MANIFEST_TYPES, ...INDEX_TYPES];

type Fields = Partial<Record<string, unknown>>;

/**
 * Reads a manifest or an index (OCI image specification, Docker's schema 2).
 * @param contentType of the answer, which counts where the document does not say itself what it is
 * @throws {OciDocumentError} also when the document could be read as both kinds
 */
export function parseManifestDocument(body: Uint8Array, contentType?: string): ManifestDocument {
  const fields = parseJson(body);
  if (fields['schemaVersion'] !== 2) throw new OciDocumentError('schemaVersion', 'is not 2');
  const stated = fields['mediaType'] ?? contentType?.split(';', 1)[0]?.trim().toLowerCase();
  const hasLayers = 'layers' in fields || 'config' in fields;
  const hasManifests = 'manifests' in fields;
  // Signed bytes that two readers understand differently are an attack, not a document.
  if (hasLayers && hasManifests) throw new OciDocumentError('', 'is a manifest and an index at once');
  if (hasManifests) {
    const mediaType = oneOf(INDEX_TYPES, stated);
    return { kind: 'index', mediaType, manifests: parseList(fields['manifests'], 'manifests') };
  }
  const mediaType = oneOf(MANIFEST_TYPES, stated);
  const config = parseDescriptor(fields['config'], 'config');
  return { kind: 'manifest', mediaType, config, layers: parseList(fields['layers'], 'layers') };
}

/**
 * Reads one descriptor out of parsed JSON.
 * @param field where it stands, for errors
 * @throws {OciDocumentError}
 */
export function parseDescriptor(value: unknown, field: string): Descriptor {
  if (!isFields(value)) throw new OciDocumentError(field, 'is not a descriptor');
  const { mediaType = '', digest, size, platform } = value;
  if (typeof mediaType !== 'string') throw new OciDocumentError(`${field}.mediaType`, 'is not a text');
  if (typeof digest !== 'string' || !isImageDigest(digest))
    throw new OciDocumentError(`${field}.digest`, 'is not a digest');
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new OciDocumentError(`${field}.size`, 'is not a number of bytes');
  }
  return { mediaType, digest, size, platform: parsePlatform(platform, `${field}.platform`) };
}

function parsePlatform(value: unknown, field: string): Platform | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isFields(value)) throw new OciDocumentError(field, 'is not a platform');
  const { os, architecture, variant = '' } = value;
  if (typeof os !== 'string' || typeof architecture !== 'string' || typeof variant !== 'string') {
    throw new OciDocumentError(field, 'lacks its operating system or architecture');
  }
  return { os, architecture, variant };
}

function parseList(value: unknown, field: string): Descriptor[] {
  if (!Array.isArray(value)) throw new OciDocumentError(field, 'is not a list');
  if (value.length > MAX_DESCRIPTORS) throw new OciDocumentError(field, `has more than ${MAX_DESCRIPTORS} entries`);
  return value.map((entry, index) => parseDescriptor(entry, `${field}[${index}]`));
}

function oneOf(mediaTypes: readonly [string, ...string[]], stated: unknown): string {
  // Registries that do not know better call everything JSON; then the shape decides.
  if (stated === undefined || stated === 'application/json' || stated === 'application/octet-stream')
    return mediaTypes[0];
  const known = mediaTypes.find((mediaType) => mediaType === stated);
  if (known === undefined) throw new OciDocumentError('mediaType', 'does not fit what the document holds');
  return known;
}

function parseJson(body: Uint8Array): Fields {
  if (body.length > MAX_DOCUMENT_BYTES) throw new OciDocumentError('', `is longer than ${MAX_DOCUMENT_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new OciDocumentError('', 'is not JSON', { cause });
  }
  if (!isFields(value)) throw new OciDocumentError('', 'is not an object');
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
