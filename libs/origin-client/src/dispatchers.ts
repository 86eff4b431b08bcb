import { getCACertificates } from 'node:tls';
import type { UpstreamGuard } from '@d7y/service-kit';
import type { Dispatcher } from 'undici';
import { Agent, buildConnector } from 'undici';
import type { ReadBuffers } from './read-buffers.ts';

/** How certificates of one host are judged, where that differs from all others. */
export interface HostTls {
  /** PEM certificates of authorities to trust beside the system's. */
  readonly ca?: string | undefined;
  /** Do not verify at all. */
  readonly insecure?: boolean | undefined;
}

export interface DispatchersOptions {
  /** By `host:port`, or by `host` for all its ports. Everybody else is verified against the authorities that Node trusts. */
  readonly tls: Readonly<Record<string, HostTls>>;
  /** PEM certificates of authorities to trust at every host, beside those. */
  readonly authorities?: string | undefined;
  /** Connections to one origin for content, at most; further requests wait for one. */
  readonly maxConnectionsPerOrigin: number;
  readonly connectTimeoutMs: number;
  /** What the connections read into. */
  readonly readBuffers: ReadBuffers;
  /** Asked before every connection, also one that a redirect leads to. */
  readonly guard: UpstreamGuard;
}

/** What a request is after: `content` may take minutes; a `question`, whose answer has no body to speak of, must not wait for it. */
export type Purpose = 'content' | 'question';

/** Connections to one origin for questions, at most: beside those for content. */
const QUESTION_CONNECTIONS = 16;

type Agents = Readonly<Record<Purpose, Agent>>;

/** Connections to origins, pooled by origin. Owner of all of them. */
export class Dispatchers implements AsyncDisposable {
  readonly #default: Agents;
  readonly #byHost = new Map<string, Agents>();

  constructor(options: DispatchersOptions) {
    const { tls, authorities, maxConnectionsPerOrigin, connectTimeoutMs, readBuffers, guard } = options;
    const agent = ({ ca, insecure }: HostTls, connections: number) => {
      const further = [ca, authorities].filter((pem) => pem !== undefined);
      return new Agent({
        connections,
        pipelining: 1,
        connect: guard.guarding(
          buildConnector({
            timeout: connectTimeoutMs,
            // Bulk goes over several connections of HTTP/1.1, whose buffers are ours.
            allowH2: false,
            onread: readBuffers.onread,
            lookup: guard.lookup,
            rejectUnauthorized: insecure !== true,
            ...(further.length > 0 && { ca: [...getCACertificates('default'), ...further] }),
          }),
        ),
      });
    };
    const agents = (hostTls: HostTls): Agents => ({
      content: agent(hostTls, maxConnectionsPerOrigin),
      question: agent(hostTls, QUESTION_CONNECTIONS),
    });
    this.#default = agents({});
    for (const [host, hostTls] of Object.entries(tls)) this.#byHost.set(host.toLowerCase(), agents(hostTls));
  }

  for(url: URL, purpose: Purpose): Dispatcher {
    const port = url.port || (url.protocol === 'https:' ? '443' : '80');
    const agents = this.#byHost.get(`${url.hostname}:${port}`) ?? this.#byHost.get(url.hostname) ?? this.#default;
    return agents[purpose];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [this.#default, ...this.#byHost.values()];
    await Promise.all(all.flatMap(({ content, question }) => [content.destroy(), question.destroy()]));
  }
}
