import { Code } from '@connectrpc/connect';
import type { SeedPeerManagerClient, SeedPeerRegistration } from '@d7y/peer-protocol';
import { RpcError } from '@d7y/peer-protocol';
import type { Logger } from '@d7y/service-kit';
import { delay } from '@d7y/service-kit';

export interface SeedPresenceOptions {
  readonly client: Pick<SeedPeerManagerClient, 'address' | 'register' | 'keepAlive'>;
  readonly registration: SeedPeerRegistration;
  readonly logger: Logger;
  /** Between two signs of life. A manager takes a seed for gone after three of the default. */
  readonly intervalMs?: number;
  /** Wait after the first failure; it doubles with each that follows, up to the longest. */
  readonly retryMs?: number;
}

const INTERVAL_MS = 5_000;
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

/**
 * This seed in the manager's books. It registers, anew whenever the stream of its signs of life breaks (the manager's database may be another
 * one), and nothing here depends on whether it is heard.
 */
export class SeedPresence {
  readonly #options: SeedPresenceOptions;

  constructor(options: SeedPresenceOptions) {
    this.#options = options;
  }

  /** Keeps the presence up until the signal ends it, or a manager says that it has no books of seeds. Never rejects. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const { client, registration, logger, intervalMs = INTERVAL_MS, retryMs = RETRY_MS } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await client.register(registration, { signal });
        logger.info({ manager: client.address, clusterId: registration.clusterId }, 'registered with the manager');
        failures = 0;
        await client.keepAlive(registration, intervalMs, { signal });
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof RpcError && error.status === Code.Unimplemented) {
          logger.info({ manager: client.address }, 'the manager keeps no books of seed peers');
          return;
        }
        // Once, not with every attempt of an outage.
        if (failures === 0)
          logger.warn({ err: error, manager: client.address }, 'the manager does not hear of this seed');
        failures++;
      }
      const waitMs = Math.min(retryMs * 2 ** Math.max(0, failures - 1), LONGEST_RETRY_MS);
      // Not all seeds at once when a manager comes back.
      await delay(waitMs * (0.5 + Math.random() / 2), { signal, unref: true }).catch(() => undefined);
    }
  }
}
