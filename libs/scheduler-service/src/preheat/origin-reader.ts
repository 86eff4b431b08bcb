import { OriginStatusError } from '@d7y/peer-engine';
import type { OriginClient, OriginClientOptions } from '@d7y/origin-client';
import { createOriginClient } from '@d7y/origin-client';
import type { Telemetry, UpstreamGuard } from '@d7y/service-kit';
import { type Logger, portOf, Secret, UpstreamRefusedError } from '@d7y/service-kit';
import {
  type Descriptor,
  MANIFEST_ACCEPT,
  MAX_DOCUMENT_BYTES,
  type ManifestDocument,
  OciDocumentError,
  parseManifestDocument,
  parseRegistryPath,
} from '@d7y/oci';
import { type OriginAccess, PreheatRequestError } from './preheat-request.ts';

/** A file of an image, as a task. */
export interface ImageLayer {
  readonly url: string;
  /** Bytes. */
  readonly size: number;
}

/** The files of an image, and how its registry lets this account at them. */
export interface ResolvedImage {
  readonly layers: readonly ImageLayer[];
  /** By lower-case name, for the daemon that fetches; empty where everybody may. */
  readonly credentials: Readonly<Record<string, Secret>>;
}

export interface OriginReaderOptions {
  readonly guard: UpstreamGuard;
  readonly telemetry: Telemetry;
  readonly logger: Logger;
  readonly userAgent: string;
}

/** What is preheated where nobody says: what nodes of a cluster usually are. */
const OWN_ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const MAX_INDEX_DEPTH = 2;

/** Reads what images are made of, at their registries. Connects to nothing that the guard refuses. */
export class OriginReader implements AsyncDisposable {
  readonly #options: OriginReaderOptions;
  readonly #client: OriginClient;

  constructor(options: OriginReaderOptions) {
    this.#options = options;
    this.#client = createOriginClient(this.#clientOptions());
  }

  /** @throws {UpstreamRefusedError} the configuration forbids it, in words that name the key */
  check(url: URL): void {
    if (!/^https?:$/.test(url.protocol)) throw new PreheatRequestError('url: expected http or https');
    asked(() => this.#options.guard.checkNamed(url.hostname, portOf(url)));
  }

  /**
   * Every blob of an image: configuration and layers.
   * @param manifestUrl `https://REGISTRY/v2/REPOSITORY/manifests/REFERENCE`
   * @param platform `linux/arm64/v8`; of an index, which manifest; this machine's architecture by default
   * @throws {PreheatRequestError} @throws {OriginStatusError} @throws {OriginUnreachableError} @throws {OciDocumentError} @throws {UpstreamRefusedError}
   */
  async resolveImage(
    manifestUrl: string,
    platform: string | undefined,
    access: OriginAccess,
    { signal }: { signal: AbortSignal },
  ): Promise<ResolvedImage> {
    const url = URL.parse(manifestUrl);
    const path = url === null ? undefined : parseRegistryPath(url.pathname);
    if (url === null || path?.kind !== 'manifest')
      throw new PreheatRequestError('url: expected https://REGISTRY/v2/REPOSITORY/manifests/REFERENCE');
    this.check(url);
    // Certificates of a request are for that request: a client of its own.
    await using own =
      Object.keys(access.tls).length === 0
        ? undefined
        : createOriginClient(this.#clientOptions({ [url.host]: access.tls, [url.hostname]: access.tls }));
    const client = own ?? this.#client;
    const prefix = `${url.origin}/v2/${path.repository}`;
    const document = await this.#manifest(client, manifestUrl, `${prefix}/manifests/`, platform, access, signal);
    const layers = new Map([document.config, ...document.layers].map((blob) => [blob.digest, blob]));
    return {
      layers: [...layers.values()].map(({ digest, size }) => ({ url: `${prefix}/blobs/${digest}`, size })),
      credentials: credentialsFor(client, new URL(manifestUrl), access),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  async #manifest(
    client: OriginClient,
    url: string,
    manifests: string,
    platform: string | undefined,
    access: OriginAccess,
    signal: AbortSignal,
  ): Promise<Extract<ManifestDocument, { kind: 'manifest' }>> {
    let next = url;
    for (let depth = 0; depth <= MAX_INDEX_DEPTH; depth++) {
      const document = await readDocument(client, next, access, signal);
      if (document.kind === 'manifest') return document;
      next = `${manifests}${ofPlatform(document.manifests, platform).digest}`;
    }
    throw new PreheatRequestError('url: leads to an index of indexes of indexes');
  }

  #clientOptions(tls: OriginClientOptions['tls'] = {}): OriginClientOptions {
    const { guard, telemetry, logger, userAgent } = this.#options;
    return { guard, logger, tracer: telemetry.tracer, userAgent, tls };
  }
}

async function readDocument(...question: Parameters<typeof read>): Promise<ManifestDocument> {
  try {
    return parseManifestDocument(await read(...question));
  } catch (error) {
    throw withRemedy(error);
  }
}

async function read(
  client: OriginClient,
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
  const { chunks } = await client.fetch(request, undefined, { signal });
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > MAX_DOCUMENT_BYTES) throw new PreheatRequestError('url: what is there is no manifest, it is too long');
    parts.push(Buffer.from(chunk));
  }
  return Buffer.concat(parts);
}

/** The token that the registry gave for this repository, which works with every daemon; else what the caller sent. */
function credentialsFor(
  client: OriginClient,
  url: URL,
  { credentials }: OriginAccess,
): Readonly<Record<string, Secret>> {
  const { authorization, ...others } = credentials;
  if (authorization === undefined) return credentials;
  return { ...others, authorization: client.knownAuthorization(url, authorization) ?? authorization };
}

function ofPlatform(manifests: readonly Descriptor[], wanted: string | undefined): Descriptor {
  const [os = 'linux', architecture = OWN_ARCHITECTURE, variant] = wanted ? wanted.toLowerCase().split('/') : [];
  const found = manifests.find(
    ({ platform }) =>
      platform?.os.toLowerCase() === os &&
      platform.architecture.toLowerCase() === architecture &&
      (variant === undefined || platform.variant.toLowerCase() === variant),
  );
  if (found !== undefined) return found;
  const offered = manifests.flatMap(({ platform }) => (platform ? [`${platform.os}/${platform.architecture}`] : []));
  throw new PreheatRequestError(
    `platform: the image is not there for ${[os, architecture, variant].filter(Boolean).join('/')}, only for ${offered.join(', ') || 'none'}`,
  );
}

function asked(check: () => void): void {
  try {
    check();
  } catch (error) {
    throw withRemedy(error);
  }
}

/** A refusal of the guard, however deep, tells what to configure. */
function withRemedy(error: unknown): unknown {
  if (error instanceof OriginStatusError || error instanceof OciDocumentError)
    return new PreheatRequestError(`url: ${error.message}`, { cause: error });
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof UpstreamRefusedError)
      return new UpstreamRefusedError(
        cause.host,
        `${cause.message.split(': ').slice(1).join(': ')}; see preheat.upstreams in the configuration of the scheduler`,
      );
  return error;
}
