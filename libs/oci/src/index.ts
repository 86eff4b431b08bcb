export { parseChallenges } from './challenge.ts';
export type { Challenge } from './challenge.ts';
export {
  MANIFEST_ACCEPT,
  MANIFEST_MEDIA_TYPES,
  MAX_DESCRIPTORS,
  MAX_DOCUMENT_BYTES,
  parseDescriptor,
  parseManifestDocument,
} from './document.ts';
export type { Descriptor, ManifestDocument, Platform } from './document.ts';
export { ChallengeRealmError, ImageReferenceError, OciDocumentError, TokenResponseError } from './errors.ts';
export {
  apiHostOf,
  formatImageReference,
  isImageDigest,
  isRepository,
  isTag,
  parseImageReference,
} from './image-reference.ts';
export type { ImageReference } from './image-reference.ts';
export { parseRegistryPath } from './registry-path.ts';
export type { RegistryPath } from './registry-path.ts';
export { MAX_TOKEN_RESPONSE_BYTES, parseTokenResponse, pullScopeOf, tokenRequestUrl } from './token.ts';
export type { RegistryToken } from './token.ts';
