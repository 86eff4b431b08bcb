import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { parseRegistryPath } from '@d7y/oci';
import type { TaskOpener } from '@d7y/peer-engine';
import type { HeadOrigin } from '../access/access-policy.ts';
import type { RegistryProxyConfig } from '../config.ts';
import { UpstreamUnreachableError } from '../errors.ts';
import type { RegistryKnowledge } from '../registry-knowledge.ts';
import { answerBase } from './base-server.ts';
import { type ManifestExchange, type ManifestLog, ManifestServer } from './manifest-server.ts';
import type { RoutedManifest } from './routed-manifest.ts';
import type { TagDirectory } from './tag-directory.ts';
import { TagResolver } from './tag-resolver.ts';

/** A request under way, and how to have the upstream answer it. */
export interface FrontExchange extends ManifestExchange {
  readonly response: ServerResponse;
  readonly log: ManifestLog & { direct(why: string): void };
  /** Asks the upstream and answers the client with what it says. */
  readonly carry: () => Promise<{ readonly status: number; readonly challenge: string | undefined }>;
}

/** Everything of a registry but its blobs that is answered here: manifests, tags, and `/v2/` while the registry is down. */
export class ManifestFront {
  readonly #knowledge: RegistryKnowledge;
  readonly #isEnabled: boolean;
  readonly #server: ManifestServer;

  constructor(parts: {
    readonly engine: TaskOpener;
    readonly origin: HeadOrigin;
    readonly knowledge: RegistryKnowledge;
    readonly directory: TagDirectory | undefined;
    readonly config: Pick<
      RegistryProxyConfig,
      'manifests' | 'tagTtlMs' | 'tagStaleTtlMs' | 'acceptedTtlMs' | 'serverIp'
    >;
  }) {
    const { engine, origin, knowledge, directory, config } = parts;
    const { access, tags: book } = knowledge;
    const { tagTtlMs, tagStaleTtlMs: staleTtlMs, acceptedTtlMs, serverIp } = config;
    this.#knowledge = knowledge;
    this.#isEnabled = config.manifests;
    const tags = new TagResolver({ origin, access, book, directory, tagTtlMs, staleTtlMs, acceptedTtlMs });
    this.#server = new ManifestServer({ engine, access, tags, serverIp });
  }

  /** Whether `/v2/` is asked for, which is answered here when the registry cannot. */
  isBase(method: string | undefined, upstream: URL): boolean {
    const isQuestion = method === 'GET' || method === 'HEAD';
    return this.#isEnabled && isQuestion && parseRegistryPath(upstream.pathname).kind === 'base';
  }

  /** @returns body bytes sent, beside those that were carried */
  async serve(manifest: RoutedManifest, exchange: FrontExchange): Promise<number> {
    const { health } = this.#knowledge.access;
    const { upstream } = manifest.request;
    const sentBytes = await this.#server.serve(manifest, exchange);
    if (sentBytes !== undefined) return sentBytes;
    exchange.log.direct('manifest: the registry answers itself');
    try {
      await exchange.carry();
      return 0;
    } catch (error) {
      if (!(error instanceof UpstreamUnreachableError) || exchange.response.headersSent || health.isDown(upstream))
        throw error;
      // Now that it turned out to be down, more may be said in its place.
      health.markDown(upstream);
      const sentInstead = await this.#server.serve(manifest, exchange);
      if (sentInstead === undefined) throw error;
      return sentInstead;
    }
  }

  async serveBase(upstream: string, headers: IncomingHttpHeaders, exchange: FrontExchange): Promise<void> {
    const { access, bases } = this.#knowledge;
    await answerBase({ access, bases }, { upstream, headers }, exchange);
  }
}
