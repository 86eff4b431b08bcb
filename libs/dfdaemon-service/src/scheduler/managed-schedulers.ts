import type { ListedScheduler } from '@d7y/peer-protocol';
import { DfError } from '@d7y/piece';

/** The manager knows no scheduler for this daemon. */
export class NoSchedulerListedError extends DfError {
  override readonly name = 'NoSchedulerListedError';
  readonly code = 'SCHEDULER_UNAVAILABLE';
  readonly retryable = true;
  constructor(manager: string) {
    super(
      `manager ${manager} lists no scheduler for this host; see host.schedulerClusterID, or the scopes of its clusters`,
    );
  }
}

/** The schedulers of one cluster, and what the cluster wants of its daemons. */
export interface ManagedCluster {
  /** `ip:port`, each once, sorted, so that all daemons have the same ring. */
  readonly addresses: readonly string[];
  /** JSON texts; empty when there are none. */
  readonly clientConfig: string;
  readonly seedClientConfig: string;
}

/**
 * Chooses one cluster among the schedulers that a manager lists: that of the first one that serves, as stock daemons do, so that all of a
 * cluster's daemons share one ring. While none serves it is the first cluster: its schedulers may come back.
 * @param isServing asks one scheduler for its health; must not reject
 */
export async function chooseCluster(
  listed: readonly ListedScheduler[],
  isServing: (address: string) => Promise<boolean>,
): Promise<ManagedCluster | undefined> {
  const asked = listed.map((scheduler) => ({ scheduler, serving: isServing(addressOf(scheduler)) }));
  let chosen = listed[0];
  for (const { scheduler, serving } of asked) {
    if (!(await serving)) continue;
    chosen = scheduler;
    break;
  }
  if (chosen === undefined) return undefined;
  const { clusterId, clientConfig, seedClientConfig } = chosen;
  const addresses = listed.filter((scheduler) => scheduler.clusterId === clusterId).map(addressOf);
  return { addresses: [...new Set(addresses)].sort(), clientConfig, seedClientConfig };
}

const addressOf = ({ ip, port }: ListedScheduler): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);
