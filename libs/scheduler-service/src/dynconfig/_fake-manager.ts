import { Code, ConnectError } from '@connectrpc/connect';
import type { common } from '@d7y/api';
import { manager } from '@d7y/api';
import { listen } from '@d7y/service-kit';
import { silent } from '../_rig.ts';

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** A manager's gRPC service with a memory that can be wiped. */
export class FakeManager implements AsyncDisposable {
  readonly registrations: manager.UpdateSchedulerRequest[] = [];
  readonly beats: manager.KeepAliveRequest[] = [];
  /** Keep-alive streams open at this moment. */
  openStreams = 0;
  isKnown = false;
  loadLimit = 50;
  clusterConfig: unknown = { candidate_parent_limit: 7, filter_parent_limit: 30, job_rate_limit: 10 };
  applications:
    { name: string; value: common.Priority; urls?: { regex: string; value: common.Priority }[] }[] | undefined = [];
  #listener: Awaited<ReturnType<typeof listen>> | undefined;

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  static async start(port = 0): Promise<FakeManager> {
    const fake = new FakeManager();
    await fake.listen(port);
    return fake;
  }

  async listen(port: number): Promise<void> {
    this.#listener = await listen({
      host: '127.0.0.1',
      port,
      logger: silent,
      drainMs: 0,
      grpc: (router) =>
        router.service(manager.Manager, {
          updateScheduler: (request) => {
            this.registrations.push(request);
            this.isKnown = true;
            return { hostname: request.hostname };
          },
          getScheduler: () => {
            this.#assertKnown();
            return {
              schedulerCluster: {
                config: bytes(this.clusterConfig),
                clientConfig: bytes({ load_limit: this.loadLimit }),
              },
              seedPeers: [{ seedPeerCluster: { config: bytes({ load_limit: 500 }) } }],
            };
          },
          listApplications: () => {
            if (this.applications === undefined) throw new ConnectError('none', Code.NotFound);
            return {
              applications: this.applications.map(({ name, value, urls = [] }) => ({
                name,
                priority: { value, urls },
              })),
            };
          },
          keepAlive: async (requests) => {
            this.#assertKnown();
            this.openStreams++;
            try {
              for await (const beat of requests) this.beats.push(beat);
            } finally {
              this.openStreams--;
            }
            return {};
          },
        }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]();
  }

  #assertKnown(): void {
    if (!this.isKnown) throw new ConnectError('record not found', Code.Internal);
  }
}
