import { Code } from '@connectrpc/connect';
import type {
  ManagedApplication,
  ManagedScheduler,
  SchedulerManagerClient,
  SchedulerRegistration,
} from '@d7y/peer-protocol';
import { RpcError } from '@d7y/peer-protocol';
import type { Logger } from '@d7y/service-kit';
import { delay } from '@d7y/service-kit';

export interface ManagerPresenceOptions {
  readonly client: Omit<SchedulerManagerClient, typeof Symbol.dispose>;
  readonly registration: SchedulerRegistration;
  readonly logger: Logger;
}

/** How managers say that they do not know a scheduler: by no code of its own. */
const MAY_BE_UNKNOWN: ReadonlySet<Code> = new Set([Code.NotFound, Code.Internal, Code.Unknown]);

/**
 * This scheduler in the manager's books. It registers, and again whenever the manager does not know it any more (its database may be a new
 * one), and says regularly that it is alive. A manager that is away is waited for; nothing else here depends on it.
 */
export class ManagerPresence {
  readonly #options: ManagerPresenceOptions;
  #isRegistered = false;

  constructor(options: ManagerPresenceOptions) {
    this.#options = options;
  }

  get isRegistered(): boolean {
    return this.#isRegistered;
  }

  /** The manager's settings for this scheduler. @throws {RpcError} */
  async ask({ signal }: { signal: AbortSignal }): Promise<[ManagedScheduler, readonly ManagedApplication[]]> {
    const { client, registration } = this.#options;
    if (!this.#isRegistered) await this.#register({ signal });
    let scheduler: ManagedScheduler;
    try {
      scheduler = await client.getScheduler(registration, { signal });
    } catch (error) {
      if (!mayBeUnknown(error)) throw error;
      await this.#register({ signal });
      scheduler = await client.getScheduler(registration, { signal });
    }
    return [scheduler, await client.listApplications(registration, { signal })];
  }

  /** Keeps the presence up until the signal ends it. Never rejects. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const { client, registration, logger } = this.#options;
    let isBroken = false;
    while (!signal.aborted) {
      try {
        if (!this.#isRegistered) await this.#register({ signal });
        await client.keepAlive(registration, registration.keepAliveIntervalMs, { signal });
        isBroken = false;
      } catch (error) {
        if (signal.aborted) return;
        if (mayBeUnknown(error)) this.#isRegistered = false;
        if (!isBroken)
          logger.warn({ err: error, manager: client.address }, 'the manager does not hear that we are alive');
        isBroken = true;
      }
      await delay(registration.keepAliveIntervalMs, { signal, unref: true }).catch(() => undefined);
    }
  }

  async #register({ signal }: { signal: AbortSignal }): Promise<void> {
    const { client, registration, logger } = this.#options;
    this.#isRegistered = false;
    await client.register(registration, { signal });
    this.#isRegistered = true;
    logger.info({ manager: client.address, clusterId: registration.clusterId }, 'registered with the manager');
  }
}

const mayBeUnknown = (error: unknown): boolean => error instanceof RpcError && MAY_BE_UNKNOWN.has(error.status);
