import type { ServerResponse } from 'node:http';
import { OriginStatusError, RangeNotSatisfiableError, type TaskOpener, type TaskStream } from '@d7y/peer-engine';
import type { AccessPolicy } from '../access/access-policy.ts';
import type { Access, AccessRequest } from '../access/access-request.ts';
import { type Manifest, manifestTaskRequest, readManifest } from './manifest-reader.ts';
import type { RoutedManifest } from './routed-manifest.ts';
import type { TagResolver } from './tag-resolver.ts';

/** More blobs than this in one manifest are asked for one by one. */
const MAX_GRANTS = 1000;

/** What the request log is told. */
export interface ManifestLog {
  task(taskId: string, fromCache: boolean): void;
  traffic(traffic: ReturnType<TaskStream['traffic']>): void;
  /** Answered from memory. */
  known(why: string): void;
  /** How it was found out what is asked for. */
  found(how: string): void;
}

export interface ManifestExchange {
  readonly response: ServerResponse;
  readonly log: ManifestLog;
  readonly signal: AbortSignal;
}

/** What a HEAD tells, and a GET before its body. */
interface Head {
  readonly digest: string;
  readonly mediaType: string;
  readonly size: number;
}

/** Answers requests for manifests from memory, from the store and from the swarm, to whom the registry would have answered. */
export class ManifestServer {
  readonly #engine: TaskOpener;
  readonly #access: AccessPolicy;
  readonly #tags: TagResolver;
  readonly #serverIp: string;

  constructor(parts: {
    readonly engine: TaskOpener;
    readonly access: AccessPolicy;
    readonly tags: TagResolver;
    /** Value of X-Dragonfly-Server-IP. */
    readonly serverIp: string;
  }) {
    this.#engine = parts.engine;
    this.#access = parts.access;
    this.#tags = parts.tags;
    this.#serverIp = parts.serverIp;
  }

  /**
   * @returns body bytes sent; undefined when nothing was sent and the registry should answer for itself
   * @throws {OriginStatusError} 401 with a challenge, when the registry cannot say it itself
   */
  async serve(manifest: RoutedManifest, exchange: ManifestExchange): Promise<number | undefined> {
    const { asked, method } = manifest;
    const { log, signal } = exchange;
    if (asked.kind === 'digest') return this.#serveDigest(manifest, asked.digest, exchange);
    const resolved = await this.#tags.resolve(asked.key, manifest.request, { signal });
    if (resolved === undefined) return undefined;
    const { tag, how, access } = resolved;
    if (method === 'HEAD') {
      log.known(`tag: ${how}`);
      return this.#answer(exchange, tag, {});
    }
    log.found(`tag: ${how}`);
    const read = await this.#read(manifest.request, tag.digest, access, exchange);
    if (read === undefined) return undefined;
    const { manifest: content, taskId } = read;
    return this.#answer(exchange, { ...tag, size: content.bytes.length }, { taskId, body: content.bytes });
  }

  async #serveDigest(
    { method, request }: RoutedManifest,
    digest: string,
    exchange: ManifestExchange,
  ): Promise<number | undefined> {
    let access: Access;
    try {
      access = await this.#access.decide(request, { signal: exchange.signal });
    } catch (error) {
      // In the registry's own words, while it has any.
      if (error instanceof OriginStatusError && !this.#access.health.isDown(request.upstream)) return undefined;
      throw error;
    }
    const read = await this.#read(request, digest, access, exchange);
    if (read === undefined) return undefined;
    const { manifest, taskId } = read;
    const head = { digest, mediaType: manifest.mediaType, size: manifest.bytes.length };
    return this.#answer(exchange, head, method === 'HEAD' ? { taskId } : { taskId, body: manifest.bytes });
  }

  /** @returns undefined when it is not to be had from here */
  async #read(
    asked: AccessRequest,
    digest: string,
    access: Access,
    { log, signal }: ManifestExchange,
  ): Promise<{ manifest: Manifest; taskId: string } | undefined> {
    let stream: TaskStream | undefined;
    let manifest: Manifest;
    try {
      const opened = (task: TaskStream): void => {
        stream = task;
        log.task(task.taskId, task.fromCache);
      };
      manifest = await readManifest(this.#engine, manifestTaskRequest(asked, digest, access), digest, opened, {
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RangeNotSatisfiableError) throw error;
      return undefined;
    } finally {
      if (stream !== undefined) log.traffic(stream.traffic());
    }
    if (access.isPrivate) {
      const request = this.#access.actingAs(asked);
      this.#access.acceptLike(request, digest, manifest.digests.slice(0, MAX_GRANTS));
    }
    return { manifest, taskId: stream?.taskId ?? '' };
  }

  #answer(
    { response, signal }: ManifestExchange,
    { digest, mediaType, size }: Head,
    { taskId, body }: { taskId?: string; body?: Uint8Array },
  ): Promise<number> {
    response.writeHead(200, {
      'content-type': mediaType,
      'content-length': size,
      'docker-content-digest': digest,
      etag: `"${digest}"`,
      'docker-distribution-api-version': 'registry/2.0',
      'x-dragonfly-server-ip': this.#serverIp,
      ...(taskId === undefined ? {} : { 'x-dragonfly-task-id': taskId }),
    });
    const { promise: sent, resolve, reject } = Promise.withResolvers<number>();
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    response.end(body, () => resolve(body?.length ?? 0));
    return sent.finally(() => signal.removeEventListener('abort', onAbort));
  }
}
