import { ImageReferenceError } from './errors.ts';

/** An image, fully named. */
export interface ImageReference {
  /** As in the name, `docker.io` by default; a port may follow. */
  readonly registry: string;
  /** Path within the registry; `library/…` for the official images of docker.io. */
  readonly repository: string;
  /** `latest` when neither tag nor digest is given. */
  readonly tag: string | undefined;
  /** `algorithm:hex`; wins over the tag. */
  readonly digest: string | undefined;
}

/** The longest name, registry included, that registries accept. */
const MAX_NAME_LENGTH = 255;
/** Name, tag (128) and the longest digest, with what separates them. */
const MAX_REFERENCE_LENGTH = MAX_NAME_LENGTH + 1 + 128 + 1 + 160;

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const HOST_LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const REGISTRY = new RegExp(`^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]{1,5})?$`);
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** What the registry's part of a short or old name stands for. */
const DOCKER_HUB = 'docker.io';
const DOCKER_HUB_NAMES = new Set([DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io']);

/**
 * Parses a name as people type it: `nginx`, `ghcr.io/org/app:v1`, `127.0.0.1:5000/app@sha256:…`.
 * @throws {ImageReferenceError}
 */
export function parseImageReference(text: string): ImageReference {
  if (text.length > MAX_REFERENCE_LENGTH) throw new ImageReferenceError(text, 'it is too long');
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const tagged = at < 0 ? text : text.slice(0, at);
  const colon = tagged.lastIndexOf(':');
  const hasTag = colon > tagged.lastIndexOf('/');
  const tag = hasTag ? tagged.slice(colon + 1) : digest === undefined ? 'latest' : undefined;
  const name = hasTag ? tagged.slice(0, colon) : tagged;
  if (digest !== undefined && !isImageDigest(digest)) throw new ImageReferenceError(text, 'its digest is malformed');
  if (tag !== undefined && !isTag(tag)) throw new ImageReferenceError(text, 'its tag is malformed');
  const { registry, path } = splitName(name);
  if (!REGISTRY.test(registry)) throw new ImageReferenceError(text, 'its registry is malformed');
  const isHub = DOCKER_HUB_NAMES.has(registry);
  const repository = isHub && !path.includes('/') ? `library/${path}` : path;
  if (!isRepository(repository)) throw new ImageReferenceError(text, 'its repository is malformed');
  return { registry: isHub ? DOCKER_HUB : registry, repository, tag, digest };
}

/** The first part is a registry when it could not be part of a path: it has a dot, a port, or is `localhost`. */
function splitName(name: string): { registry: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const isRegistry = first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase();
  return isRegistry ? { registry: first, path: name.slice(slash + 1) } : { registry: DOCKER_HUB, path: name };
}

/** Full text of a reference, as parseImageReference reads it. */
export function formatImageReference({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** `host[:port]` whose `/v2/` API serves this registry's images: docker.io has its API elsewhere. */
export function apiHostOf(registry: string): string {
  return DOCKER_HUB_NAMES.has(registry) ? 'registry-1.docker.io' : registry;
}

/** Path components of lower-case letters and digits, joined by single separators. */
export function isRepository(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && text.split('/').every((component) => COMPONENT.test(component));
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** The digests that registries use: sha256 and sha512, lower-case. */
export function isImageDigest(text: string): boolean {
  return DIGEST.test(text);
}
