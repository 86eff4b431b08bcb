import type { ManagerClient, SchedulerSearch } from '@d7y/peer-protocol';
import { LastGood, type Logger } from '@d7y/service-kit';
import { z } from 'zod';
import { chooseCluster, NoSchedulerListedError } from './managed-schedulers.ts';

/** More than this is no cluster's configuration. */
const MAX_CONFIG_LENGTH = 1_000_000;

const fileSchema = z.object({
  version: z.literal(1),
  addresses: z.array(z.string().max(300)).max(1000),
  clientConfig: z.string().max(MAX_CONFIG_LENGTH),
  seedClientConfig: z.string().max(MAX_CONFIG_LENGTH),
});

type KeptCluster = z.output<typeof fileSchema>;

export interface ManagerDynconfigOptions {
  readonly client: Pick<ManagerClient, 'address' | 'listSchedulers'>;
  /** Where the last good answer is kept. */
  readonly path: string;
  readonly search: SchedulerSearch;
  /** Asks one scheduler for its health; must not reject. */
  readonly isServing: (address: string, options: { signal: AbortSignal }) => Promise<boolean>;
  readonly logger: Logger;
}

/**
 * What a manager says of schedulers and settings. The last good answer is kept, also across restarts, for as long as the manager does not
 * give another one: losing the manager changes nothing for those who have it.
 */
export class ManagerDynconfig {
  readonly #options: ManagerDynconfigOptions;
  readonly #last: LastGood<KeptCluster>;

  private constructor(options: ManagerDynconfigOptions, last: LastGood<KeptCluster>) {
    this.#options = options;
    this.#last = last;
  }

  static async open(options: ManagerDynconfigOptions): Promise<ManagerDynconfig> {
    const { path, logger } = options;
    return new ManagerDynconfig(options, await LastGood.open({ path, schema: fileSchema, logger }));
  }

  /** JSON text of the cluster's settings for daemons of our kind; empty when there are none. */
  get clientConfig(): string {
    const { search } = this.#options;
    return (search.isSeed ? this.#last.value?.seedClientConfig : this.#last.value?.clientConfig) ?? '';
  }

  /**
   * Asks the manager where schedulers are.
   * @returns `ip:port`, as of now or as of the last answer
   * @throws when the manager does not say, and never did
   */
  async addresses({ signal }: { signal: AbortSignal }): Promise<readonly string[]> {
    try {
      await this.#ask(signal);
    } catch (error) {
      if (this.#last.value === undefined || signal.aborted) throw error;
      const { client, logger } = this.#options;
      logger.warn({ manager: client.address, err: error }, 'the manager does not answer; what it said last stands');
    }
    return this.#last.value?.addresses ?? [];
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { client, search, isServing } = this.#options;
    const listed = await client.listSchedulers(search, { signal });
    const cluster = await chooseCluster(listed, (address) => isServing(address, { signal }));
    if (cluster === undefined) throw new NoSchedulerListedError(client.address);
    await this.#last.keep({ version: 1, ...cluster, addresses: [...cluster.addresses] });
  }
}
