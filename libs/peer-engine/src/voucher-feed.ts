import type { Parent } from '@d7y/peer-protocol';
import type { Logger } from '@d7y/service-kit';
import type { SwarmLink, VoucherBatch } from './ports/swarm-link.ts';

/** Parents that are asked directly at the same time. */
const MAX_ASKED = 8;
/** Calls to one parent, as calls break. */
const MAX_CALLS = 3;

export interface VoucherFeedInit {
  readonly link: SwarmLink;
  readonly taskId: string;
  readonly onBatch: (batch: VoucherBatch) => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What others vouch for in one task: told by its scheduler; asked of parents as long as no scheduler of ours is linked. */
export class VoucherFeed {
  readonly #init: VoucherFeedInit;
  readonly #parents = new Map<string, { readonly parent: Parent; calls: number }>();
  readonly #asking = new Set<string>();
  #isFollowing = false;

  constructor(init: VoucherFeedInit) {
    this.#init = init;
  }

  /** Pieces will come from these parents. */
  meet(parents: readonly Parent[]): void {
    for (const parent of parents) {
      if (!this.#parents.has(parent.hostId)) this.#parents.set(parent.hostId, { parent, calls: 0 });
    }
    if (!this.#isFollowing) void this.#follow();
    this.ask();
  }

  /** Somebody waits for a voucher: where no scheduler tells, parents may. */
  ask(): void {
    const { link, taskId, signal } = this.#init;
    if (signal.aborted || link.isLinked(taskId)) return;
    for (const [hostId, known] of this.#parents) {
      if (this.#asking.size >= MAX_ASKED) return;
      if (this.#asking.has(hostId) || known.calls >= MAX_CALLS) continue;
      known.calls++;
      this.#asking.add(hostId);
      void this.#ask(known.parent).finally(() => this.#asking.delete(hostId));
    }
  }

  async #follow(): Promise<void> {
    const { link, taskId, onBatch, logger, signal } = this.#init;
    this.#isFollowing = true;
    try {
      for await (const batch of link.follow(taskId, { signal })) onBatch(batch);
    } catch (error) {
      if (!signal.aborted) logger.debug({ taskId, err: error }, 'vouchers cannot be followed');
    } finally {
      this.#isFollowing = false;
    }
  }

  async #ask({ ip, port, hostId }: Parent): Promise<void> {
    const { link, taskId, onBatch, logger, signal } = this.#init;
    try {
      for await (const batch of link.followParent({ ip, port, hostId }, taskId, { signal })) {
        // It speaks for itself alone, whatever names it gives.
        onBatch({ ...batch, vouchers: batch.vouchers.map((voucher) => ({ ...voucher, hostId })) });
      }
    } catch (error) {
      if (!signal.aborted) logger.debug({ taskId, parent: hostId, err: error }, 'a parent does not tell its vouchers');
    }
  }
}
