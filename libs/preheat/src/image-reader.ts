import { createHash } from 'node:crypto';
import {
  type Descriptor,
  isImageDigest,
  MANIFEST_ACCEPT,
  MAX_DOCUMENT_BYTES,
  type ManifestDocument,
  OciDocumentError,
  parseManifestDocument,
  parseRegistryPath,
} from '@d7y/oci';
import { type Origin, OriginStatusError } from '@d7y/peer-engine';
import { portOf, type Secret, type UpstreamGuard, UpstreamRefusedError } from '@d7y/service-kit';
import { PlainRegistries, speaksNoTls } from './plain-registries.ts';
import { type Credentials, isNobody, type OriginAccess, type OriginTls, PreheatRequestError } from './request.ts';

/** A file of an image, as a task. */
export interface ImageFile {
  readonly url: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** Of the index, as `linux/arm64/v8`, those that it is a part of; empty where the image is for one platform only and does not say which. */
  readonly platforms: readonly string[];
}

/** Whether an origin serves content to anybody, and as whom it is asked for it. */
export interface Standing {
  /** Only whoever has the credentials gets it. */
  readonly isPrivate: boolean;
  /** By lower-case name, for the daemon that fetches; empty where everybody may. */
  readonly credentials: Credentials;
}

/** The files of an image, and how its registry lets this account at them. */
export interface ResolvedImage extends Standing {
  readonly files: readonly ImageFile[];
}

/** Which manifests of an index are meant. */
export interface PlatformChoice {
  /** `os/architecture[/variant]`; empty for this machine's. */
  readonly platforms: readonly string[];
  /** It is enough that the image is there for one of them. */
  readonly mayLack?: boolean | undefined;
}

/** Asks origins; made by whoever composes a service. */
export interface PreheatOrigin extends Pick<Origin, 'probe' | 'fetch'>, AsyncDisposable {
  /** By HEAD, without following redirects. @throws {OriginStatusError} @throws {OriginUnreachableError} */
  head(request: Parameters<Origin['probe']>[0], options: { signal: AbortSignal }): Promise<unknown>;
  /** What the server gave this account, and would be used for this URL. */
  knownAuthorization(url: URL, account: Secret | undefined): Secret | undefined;
}

export interface ImageReaderOptions {
  readonly guard: UpstreamGuard;
  /** @param tls by `host:port` and `host` */
  readonly createOrigin: (tls: Readonly<Record<string, OriginTls>>) => PreheatOrigin;
  /** Where somebody looks who wants what the guard refuses, such as "see preheat.upstreams in the configuration of the scheduler". */
  readonly remedy: string;
  /** Registries that may be spoken to without TLS, credentials included, as globs of `host` or `host:port`. */
  readonly insecureRegistries?: readonly string[] | undefined;
}

/** How a request names what it asks for. */
export interface Naming {
  readonly signal: AbortSignal;
  /** Without a scheme, so that a registry which may be plain is asked by http if it speaks no TLS. */
  readonly isBare?: boolean | undefined;
}

/** What is preheated where nobody says: what nodes of a cluster usually are. */
const OWN_ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const MAX_INDEX_DEPTH = 2;
const EXPECTED_URL = 'url: expected https://REGISTRY/v2/REPOSITORY/manifests/REFERENCE';
/** Of all platforms together. */
const MAX_FILES = 10_000;
/** Layers that only the licence's owner may give out: registries do not have them. */
const FOREIGN = /\.(?:foreign|nondistributable)\./;

/** Reads what images are made of, at their registries. Connects to nothing that the guard refuses. */
export class ImageReader implements AsyncDisposable {
  readonly #options: ImageReaderOptions;
  readonly #origin: PreheatOrigin;
  readonly #plain: PlainRegistries;

  constructor(options: ImageReaderOptions) {
    this.#options = options;
    this.#plain = new PlainRegistries(options.insecureRegistries ?? []);
    this.#origin = options.createOrigin({});
  }

  /** @throws {UpstreamRefusedError} the configuration forbids it, in words that name the key @throws {PreheatRequestError} */
  check(url: URL): void {
    if (!/^https?:$/.test(url.protocol)) throw new PreheatRequestError('url: expected http or https');
    try {
      this.#options.guard.checkNamed(url.hostname, portOf(url));
    } catch (error) {
      throw this.#withRemedy(error);
    }
  }

  /**
   * Every blob of an image: configurations and layers, each once. Their URLs have the scheme by which the registry is spoken to.
   * @param manifestUrl `https://REGISTRY/v2/REPOSITORY/manifests/REFERENCE`
   * @throws {PreheatRequestError} @throws {OriginStatusError} @throws {OriginUnreachableError} @throws {UpstreamRefusedError}
   */
  async resolve(
    manifestUrl: string,
    choice: PlatformChoice,
    access: OriginAccess,
    { signal, isBare = false }: Naming,
  ): Promise<ResolvedImage> {
    const url = URL.parse(manifestUrl);
    if (url === null) throw new PreheatRequestError(EXPECTED_URL);
    try {
      return await this.#resolveAt(url, choice, access, signal);
    } catch (error) {
      const mayBePlain = isBare && url.protocol === 'https:' && this.#plain.mayBePlain(url);
      if (!mayBePlain || !speaksNoTls(error, url)) throw error;
      url.protocol = 'http:';
      return await this.#resolvePlain(url, choice, access, signal);
    }
  }

  /** Where nobody has said that credentials may go there in clear, they do not. */
  async #resolvePlain(url: URL, choice: PlatformChoice, access: OriginAccess, signal: AbortSignal) {
    const shown = this.#inClear(url, access);
    try {
      return await this.#resolveAt(url, choice, shown, signal);
    } catch (error) {
      if (shown === access || !isRefusal(error) || statusOf(error) === 404) throw error;
      const reason = `${url.host} speaks no TLS, so credentials are sent to it only if preheat.insecureRegistries names it`;
      throw new PreheatRequestError(`url: ${reason}`, { cause: error });
    }
  }

  #inClear(url: URL, access: OriginAccess): OriginAccess {
    return isNobody(access) || this.#plain.isDeclared(url) ? access : { ...access, credentials: {} };
  }

  async #resolveAt(
    url: URL,
    choice: PlatformChoice,
    access: OriginAccess,
    signal: AbortSignal,
  ): Promise<ResolvedImage> {
    const path = parseRegistryPath(url.pathname);
    if (path.kind !== 'manifest') throw new PreheatRequestError(EXPECTED_URL);
    this.check(url);
    return this.#asking(url, access, async (origin) => {
      const prefix = `${url.origin}/v2/${path.repository}`;
      const files = new Map<string, ImageFile & { readonly platforms: string[] }>();
      const { standing, document } = await openDocument(origin, url.href, access, signal);
      const reading = { ...access, credentials: standing.credentials };
      for (const { platform, read } of manifestsOf(document, choice)) {
        const { config, layers } = await read((digest) =>
          readDocument(origin, `${prefix}/manifests/${digest}`, reading, signal),
        );
        for (const { digest, size, mediaType } of [config, ...layers]) {
          if (FOREIGN.test(mediaType)) continue;
          const file = files.get(digest) ?? { url: `${prefix}/blobs/${digest}`, digest, size, platforms: [] };
          if (platform !== undefined && !file.platforms.includes(platform)) file.platforms.push(platform);
          files.set(digest, file);
          if (files.size > MAX_FILES) throw new PreheatRequestError(`url: the image has more than ${MAX_FILES} files`);
        }
      }
      return { ...standing, credentials: known(origin, url, standing.credentials), files: [...files.values()] };
    });
  }

  /**
   * Asks an origin whether it gives one file to everybody, else whether to this account, with credentials that are good from now on: a
   * registry's token is got anew where the last one is about to expire.
   * @throws {OriginStatusError} it refuses both @throws {OriginUnreachableError} @throws {UpstreamRefusedError} @throws {PreheatRequestError}
   */
  async standing(fileUrl: string, given: OriginAccess, { signal, isBare = false }: Naming): Promise<Standing> {
    const url = new URL(fileUrl);
    this.check(url);
    const access = isBare && url.protocol === 'http:' ? this.#inClear(url, given) : given;
    if (isNobody(access)) return { isPrivate: false, credentials: {} };
    return this.#asking(url, access, async (origin) => {
      const isBlob = parseRegistryPath(url.pathname).kind === 'blob';
      const standing = await openAs(access, async (credentials) => {
        const request = { url: fileUrl, headers: access.headers, credentials };
        await (isBlob ? origin.head(request, { signal }) : origin.probe(request, { signal }));
      });
      return { ...standing, credentials: known(origin, url, standing.credentials) };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#origin[Symbol.asyncDispose]();
  }

  /** Asks with the certificates of a request, which are for that request alone. */
  async #asking<T>(url: URL, { tls }: OriginAccess, ask: (origin: PreheatOrigin) => Promise<T>): Promise<T> {
    await using own =
      Object.keys(tls).length === 0 ? undefined : this.#options.createOrigin({ [url.host]: tls, [url.hostname]: tls });
    try {
      return await ask(own ?? this.#origin);
    } catch (error) {
      throw this.#withRemedy(error);
    }
  }

  /** A refusal of the guard, however deep, tells what to configure. */
  #withRemedy(error: unknown): unknown {
    for (let cause = error; cause instanceof Error; cause = cause.cause)
      if (cause instanceof UpstreamRefusedError)
        return new UpstreamRefusedError(
          cause.host,
          `${cause.message.split(': ').slice(1).join(': ')}; ${this.#options.remedy}`,
        );
    return error;
  }
}

type Manifest = Extract<ManifestDocument, { kind: 'manifest' }>;
type ReadByDigest = (digest: string) => Promise<ManifestDocument>;

/** The manifests that are wanted of a document. @throws {PreheatRequestError} it is not there for a platform */
function manifestsOf(document: ManifestDocument, { platforms, mayLack = false }: PlatformChoice) {
  if (document.kind === 'manifest') return [{ platform: undefined, read: () => Promise.resolve(document) }];
  const wanted = platforms.length > 0 ? platforms : [`linux/${OWN_ARCHITECTURE}`];
  const found = wanted.flatMap((platform) => {
    const entry = entryFor(document.manifests, platform);
    return entry === undefined ? [] : [{ platform, entry }];
  });
  const lacking = wanted.filter((platform) => !found.some((one) => one.platform === platform));
  if (found.length === 0 || (lacking.length > 0 && !mayLack)) {
    const offered = document.manifests.flatMap(({ platform: p }) => (p ? [`${p.os}/${p.architecture}`] : []));
    throw new PreheatRequestError(
      `platform: the image is not there for ${lacking.join(', ')}, only for ${offered.join(', ') || 'none'}`,
    );
  }
  return found.map(({ platform, entry }) => ({
    platform,
    read: (byDigest: ReadByDigest) => manifestBelow(entry, platform, byDigest),
  }));
}

async function manifestBelow(entry: Descriptor, platform: string, read: ReadByDigest): Promise<Manifest> {
  let next: Descriptor | undefined = entry;
  for (let depth = 0; depth < MAX_INDEX_DEPTH && next !== undefined; depth++) {
    const document = await read(next.digest);
    if (document.kind === 'manifest') return document;
    next = entryFor(document.manifests, platform);
  }
  throw new PreheatRequestError(
    next === undefined
      ? `platform: the image is not there for ${platform}`
      : 'url: leads to an index of indexes of indexes',
  );
}

function entryFor(manifests: readonly Descriptor[], wanted: string): Descriptor | undefined {
  const [os, architecture, variant] = wanted.toLowerCase().split('/');
  return manifests.find(
    ({ platform }) =>
      platform?.os.toLowerCase() === os &&
      platform?.architecture.toLowerCase() === architecture &&
      (variant === undefined || platform?.variant.toLowerCase() === variant),
  );
}

/** Reads as nobody, and with the credentials only where the origin does not give it to nobody. */
async function openDocument(origin: PreheatOrigin, url: string, access: OriginAccess, signal: AbortSignal) {
  let document: ManifestDocument | undefined;
  const standing = await openAs(access, async (credentials) => {
    document = await readDocument(origin, url, { ...access, credentials }, signal);
  });
  if (document === undefined) throw new TypeError('a document that was read is there');
  return { standing, document };
}

async function openAs(access: OriginAccess, open: (credentials: Credentials) => Promise<void>): Promise<Standing> {
  if (!isNobody(access)) {
    try {
      await open({});
      return { isPrivate: false, credentials: {} };
    } catch (error) {
      // What a registry does not show to strangers it may not know, either.
      if (!isRefusal(error)) throw error;
    }
  }
  await open(access.credentials);
  return { isPrivate: !isNobody(access), credentials: access.credentials };
}

function isRefusal(error: unknown): boolean {
  const status = statusOf(error);
  return status === 401 || status === 403 || status === 404;
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof OriginStatusError) return error.status;
  return error instanceof Error && error.cause instanceof OriginStatusError ? error.cause.status : undefined;
}

async function readDocument(
  origin: PreheatOrigin,
  url: string,
  access: OriginAccess,
  signal: AbortSignal,
): Promise<ManifestDocument> {
  try {
    const bytes = await readBytes(origin, url, access, signal);
    checkDigest(url, bytes);
    return parseManifestDocument(bytes);
  } catch (error) {
    if (error instanceof OciDocumentError || (error instanceof OriginStatusError && !error.retryable))
      throw new PreheatRequestError(`url: ${error.message}`, { cause: error });
    throw error;
  }
}

async function readBytes(
  origin: PreheatOrigin,
  url: string,
  { headers, credentials }: OriginAccess,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { authorization } = credentials;
  // A password alone is one that the registry's token server takes; other secrets are for the origin of the files.
  const request = {
    url,
    headers: { ...headers, accept: MANIFEST_ACCEPT },
    credentials: authorization === undefined ? credentials : { authorization },
  };
  const { chunks } = await origin.fetch(request, undefined, { signal });
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > MAX_DOCUMENT_BYTES) throw new PreheatRequestError('url: what is there is no manifest, it is too long');
    parts.push(Buffer.from(chunk));
  }
  return Buffer.concat(parts);
}

/** A document that is named by its digest has it. @throws {PreheatRequestError} */
function checkDigest(url: string, bytes: Uint8Array): void {
  const reference = new URL(url).pathname.split('/manifests/').pop() ?? '';
  if (!isImageDigest(reference)) return;
  const [algorithm = 'sha256', expected] = reference.split(':');
  if (createHash(algorithm).update(bytes).digest('hex') !== expected)
    throw new PreheatRequestError(`url: what the registry sends for ${reference} has another digest`);
}

/** The token that the registry gave for this repository, which works with every daemon; else what the caller sent. */
function known(origin: PreheatOrigin, url: URL, credentials: Credentials): Credentials {
  const { authorization, ...others } = credentials;
  if (authorization === undefined) return credentials;
  return { ...others, authorization: origin.knownAuthorization(url, authorization) ?? authorization };
}
