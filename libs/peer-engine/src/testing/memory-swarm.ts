import { AsyncQueue, untilAborted } from '@d7y/service-kit';
import type { BlamedFor, OriginLease, PieceVoucher, SwarmLink, VoucherBatch } from '../ports/swarm-link.ts';

/** Batches that may wait for one follower. */
const MAX_WAITING = 10_000;

/** A complaint as it reached the scheduler. */
export interface Complaint {
  readonly by: string;
  readonly taskId: string;
  readonly pieceNumber: number;
  readonly hostId: string;
  readonly blamedFor: BlamedFor;
}

interface Follower {
  readonly hostId: string;
  readonly taskId: string;
  readonly queue: AsyncQueue<VoucherBatch>;
}

/** What our processes tell each other, without a network: a scheduler in memory, and links of any number of hosts to it. */
export class MemorySwarm {
  /** Complaints in the order in which they came. */
  readonly complaints: Complaint[] = [];
  /** By host, then task: what it vouched for, also while no scheduler was there. */
  readonly #said = new Map<string, Map<string, VoucherBatch[]>>();
  readonly #heard = new Set<VoucherBatch>();
  readonly #followers = new Set<Follower>();
  readonly #leased = new Set<string>();
  #isUp = true;

  get isUp(): boolean {
    return this.#isUp;
  }

  /** The scheduler goes, and forgets everything, or comes back and is told again. */
  set isUp(isUp: boolean) {
    if (this.#isUp === isUp) return;
    this.#isUp = isUp;
    this.#heard.clear();
    this.#leased.clear();
    if (!isUp) return;
    for (const [hostId, tasks] of this.#said) {
      for (const [taskId, batches] of tasks) for (const batch of batches) this.#tell(hostId, taskId, batch);
    }
  }

  /** The link of one host. */
  linkOf(hostId: string): SwarmLink {
    return {
      vouch: (taskId, batch) => this.#vouch(hostId, taskId, batch),
      follow: (taskId, { signal }) => this.#follow(hostId, taskId, signal),
      followParent: async function* (this: MemorySwarm, parent: { readonly hostId: string }, taskId: string) {
        await Promise.resolve();
        yield* this.vouchedBy(parent.hostId, taskId);
      }.bind(this),
      isLinked: () => this.#isUp,
      blame: (taskId, pieceNumber, blamedHostId, blamedFor) => {
        if (this.#isUp) this.complaints.push({ by: hostId, taskId, pieceNumber, hostId: blamedHostId, blamedFor });
      },
      requestLease: (taskId) => Promise.resolve(this.#lease(taskId)),
    };
  }

  /** Everything a host vouched for in a task. */
  vouchedBy(hostId: string, taskId: string): readonly VoucherBatch[] {
    return this.#said.get(hostId)?.get(taskId) ?? [];
  }

  #vouch(hostId: string, taskId: string, batch: VoucherBatch): void {
    const named = { ...batch, vouchers: batch.vouchers.map((voucher): PieceVoucher => ({ ...voucher, hostId })) };
    const tasks = this.#said.get(hostId) ?? new Map<string, VoucherBatch[]>();
    this.#said.set(hostId, tasks.set(taskId, [...(tasks.get(taskId) ?? []), named]));
    if (this.#isUp) this.#tell(hostId, taskId, named);
  }

  #tell(hostId: string, taskId: string, batch: VoucherBatch): void {
    this.#heard.add(batch);
    for (const follower of this.#followers) {
      if (follower.taskId === taskId && follower.hostId !== hostId) follower.queue.push(batch);
    }
  }

  async *#follow(hostId: string, taskId: string, signal: AbortSignal): AsyncGenerator<VoucherBatch, void, undefined> {
    const follower = { hostId, taskId, queue: new AsyncQueue<VoucherBatch>(MAX_WAITING) };
    for (const other of this.#said.keys()) {
      const batches = other === hostId ? [] : this.vouchedBy(other, taskId);
      for (const batch of batches) if (this.#heard.has(batch)) follower.queue.push(batch);
    }
    this.#followers.add(follower);
    try {
      yield* untilAborted(follower.queue, signal);
    } finally {
      this.#followers.delete(follower);
    }
  }

  #lease(taskId: string): OriginLease | 'unlinked' | undefined {
    if (!this.#isUp) return 'unlinked';
    if (this.#leased.has(taskId)) return undefined;
    this.#leased.add(taskId);
    return { taskId, [Symbol.dispose]: () => void this.#leased.delete(taskId) };
  }
}
