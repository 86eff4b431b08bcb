import { createClient, type Transport } from '@connectrpc/connect';
import { type common, scheduler } from '@d7y/api';
import type { JobWork, SchedulerAddress } from '@d7y/manager-db';
import { DfError } from '@d7y/piece';
import type { PreheatHost } from '@d7y/preheat';

/** No scheduler of a cluster tells which hosts there are. */
export class ClusterUnreachableError extends DfError {
  override readonly name = 'ClusterUnreachableError';
  readonly code = 'CLUSTER_UNREACHABLE';
  readonly retryable = true;
}

/** A daemon, as its scheduler knows it. */
export interface ClusterHost extends PreheatHost {
  readonly hostname: string;
  readonly message: common.Host;
}

export interface ClusterHostsOptions {
  readonly work: Pick<JobWork, 'schedulers'>;
  readonly connect: (address: SchedulerAddress) => Transport;
}

const ASK_TIMEOUT_MS = 10_000;
/** Layers of one job ask within moments of each other. */
const FRESH_MS = 2_000;

/** Which daemons a cluster has, as its schedulers say. */
export class ClusterHosts {
  readonly #options: ClusterHostsOptions;
  readonly #fresh = new Map<number, { readonly askedAtMs: number; readonly hosts: Promise<readonly ClusterHost[]> }>();

  constructor(options: ClusterHostsOptions) {
    this.#options = options;
  }

  /** Ordered by their ids, so that "the first ten" are the same ten again. @throws {ClusterUnreachableError} */
  async of(clusterId: number): Promise<readonly ClusterHost[]> {
    const known = this.#fresh.get(clusterId);
    if (known !== undefined && performance.now() - known.askedAtMs < FRESH_MS) return await known.hosts;
    const hosts = this.#ask(clusterId);
    this.#fresh.set(clusterId, { askedAtMs: performance.now(), hosts });
    hosts.catch(() => this.#fresh.delete(clusterId));
    return await hosts;
  }

  /** The hosts that one scheduler knows, as of now. @throws {ConnectError} */
  async listOn(address: SchedulerAddress, { signal }: { signal?: AbortSignal } = {}): Promise<readonly common.Host[]> {
    const client = createClient(scheduler.Scheduler, this.#options.connect(address));
    const { hosts } = await client.listHosts(
      {},
      { timeoutMs: ASK_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) },
    );
    return hosts;
  }

  async #ask(clusterId: number): Promise<readonly ClusterHost[]> {
    const schedulers = await schedulersOf(this.#options.work, clusterId);
    const failures: unknown[] = [];
    // Daemons choose among the schedulers of their cluster, so each knows some.
    const found = new Map<string, ClusterHost>();
    await Promise.all(
      schedulers.map(async (address) => {
        try {
          for (const message of await this.listOn(address)) {
            const { id, type, ip, port, hostname } = message;
            found.set(id, { id, kind: type === 0 ? 'normal' : 'seed', ip, port, hostname, message });
          }
        } catch (error) {
          failures.push(error);
        }
      }),
    );
    if (failures.length === schedulers.length)
      throw new ClusterUnreachableError(`no scheduler of cluster ${clusterId} answers`, { cause: failures[0] });
    return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

/** The schedulers of a cluster that are active. @throws {ClusterUnreachableError} there is none */
export async function schedulersOf(
  work: Pick<JobWork, 'schedulers'>,
  clusterId: number,
): Promise<readonly SchedulerAddress[]> {
  const schedulers = await work.schedulers(clusterId, new Date());
  if (schedulers.length === 0) throw new ClusterUnreachableError(`cluster ${clusterId} has no scheduler`);
  return schedulers;
}

/** What image platforms the hosts run, as `linux/arm64`; empty where none says. */
export function platformsOf(hosts: readonly ClusterHost[]): readonly string[] {
  const all = hosts.map(({ message }) => /^(linux|windows)\/([a-z0-9]+)$/.exec(message.build?.platform ?? '')?.[0]);
  return [...new Set(all.filter((one) => one !== undefined))].sort();
}
