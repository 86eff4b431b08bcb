import { createClient } from '@connectrpc/connect';
import { health } from '@d7y/api';
import type { GrpcConnectionOptions } from '@d7y/peer-protocol';
import { createGrpcConnection } from '@d7y/peer-protocol';
import type { HostFacts } from '@d7y/swarm';

const SERVING = health.HealthCheckResponse_ServingStatus.SERVING;
/** Checks at once: after a fault of the network thousands of hosts may be in doubt. */
const MAX_CONCURRENT = 64;

export interface HostProberOptions {
  readonly connectionTo: (host: HostFacts) => GrpcConnectionOptions;
  /** How long a host may take to answer. */
  readonly timeoutMs: number;
  /** Not called after the signal was aborted. */
  readonly onResult: (hostId: string, isHealthy: boolean) => void;
  readonly signal: AbortSignal;
}

/** Whether a daemon says in time that it is serving. Never rejects. */
export async function isHostHealthy(
  host: HostFacts,
  { connectionTo, timeoutMs, signal }: Pick<HostProberOptions, 'connectionTo' | 'timeoutMs' | 'signal'>,
): Promise<boolean> {
  // A connection of its own: what is in doubt may well be an old one.
  using fresh = createGrpcConnection({ host: host.ip, port: host.port }, connectionTo(host));
  try {
    const { status } = await createClient(health.Health, fresh.transport).check({ service: '' }, { signal, timeoutMs });
    return status === SERVING;
  } catch {
    return false;
  }
}

/** Health checks of hosts: a few at a time, and of one host no two at once. */
export class HostProber {
  readonly #options: HostProberOptions;
  /** Under way or waiting. */
  readonly #hostIds = new Set<string>();
  readonly #queue: HostFacts[] = [];
  #running = 0;

  constructor(options: HostProberOptions) {
    this.#options = options;
  }

  probe(host: HostFacts): void {
    if (this.#hostIds.has(host.id)) return;
    this.#hostIds.add(host.id);
    this.#queue.push(host);
    this.#next();
  }

  #next(): void {
    const { signal, onResult } = this.#options;
    while (this.#running < MAX_CONCURRENT && !signal.aborted) {
      const host = this.#queue.shift();
      if (host === undefined) return;
      this.#running++;
      void isHostHealthy(host, this.#options).then((isHealthy) => {
        this.#running--;
        this.#hostIds.delete(host.id);
        if (signal.aborted) return;
        onResult(host.id, isHealthy);
        this.#next();
      });
    }
  }
}
