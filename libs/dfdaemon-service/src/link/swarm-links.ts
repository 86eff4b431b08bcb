// Who owns what: one SchedulerLink per scheduler of ours that serves. The owner of a task is the first of them on the ring whose stream
// stands; all daemons find the same one as long as they see the same schedulers. Whenever a stream comes or goes owners change, so what is
// followed, held or vouched for is said again to whom it now belongs; saying it twice does no harm.
import { create } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { BlamedFor, OriginLease, SwarmLink, VoucherBatch } from '@d7y/peer-engine';
import {
  type LinkedPeers,
  type LinkRequestCase,
  type ParentClientPool,
  parseVouchers,
  toVoucherMessage,
} from '@d7y/peer-protocol';
import type { TagDirectory, TagKey, TagRecord } from '@d7y/registry-proxy';
import { AsyncQueue, type Logger, untilAborted } from '@d7y/service-kit';
import { LRUCache } from 'lru-cache';
import { VERSION } from '../version.ts';
import { HeldLeases } from './held-leases.ts';
import type { OwnInventory } from './own-inventory.ts';
import type { OwnSchedulers } from './own-schedulers.ts';
import type { OwnVouchers } from './own-vouchers.ts';
import { Questions } from './questions.ts';
import { SchedulerLink } from './scheduler-link.ts';
import { fromTagMessage, newestFirst, toTagMessage } from './tag-messages.ts';

/** Times and bounds, for tests. */
export interface SwarmLinksTiming {
  /** Vouchers and evictions travel together with those that come within this time. */
  readonly batchMs: number;
  readonly leaseTimeoutMs: number;
  readonly tagTimeoutMs: number;
  /** Schedulers take a lease back that is not renewed within a minute. */
  readonly leaseRenewalMs: number;
  readonly reconnectDelayMs: (failures: number) => number;
}

export const SWARM_LINKS_TIMING: SwarmLinksTiming = {
  batchMs: 4,
  leaseTimeoutMs: 1_000,
  tagTimeoutMs: 1_000,
  leaseRenewalMs: 20_000,
  reconnectDelayMs: (failures) => Math.min(5_000, 100 * 2 ** failures) * (0.5 + Math.random() / 2),
};

export interface SwarmLinksOptions {
  readonly schedulers: OwnSchedulers;
  readonly parents: Pick<ParentClientPool, 'at'>;
  readonly hostId: string;
  readonly logger: Logger;
  readonly timing?: Partial<SwarmLinksTiming> | undefined;
}

/** Batches that wait for a follower; it gets the rest from the schedulers when they tell again. */
const MAX_WAITING_BATCHES = 4_096;
/** Tags that schedulers are told again. */
const MAX_RECENT_TAGS = 1_000;
/** Vouchers that a scheduler is told again after a reconnect; those beyond are found by asking parents. */
const MAX_VOUCHERS_TOLD_AGAIN = 200_000;
/** In one message: some 20 KB. */
const MAX_VOUCHERS_PER_MESSAGE = 512;
/** Vouchers taken of one parent. */
const MAX_VOUCHERS_OF_PARENT = 65_536;

const OFFENCES: Readonly<Record<BlamedFor, swarm.Offence>> = {
  wrongBytes: swarm.Offence.WRONG_BYTES,
  falseVoucher: swarm.Offence.FALSE_VOUCHER,
  stalled: swarm.Offence.STALLED,
  unreachable: swarm.Offence.UNREACHABLE,
};

/** What daemons of ours tell each other, over the schedulers of ours. */
export class SwarmLinks implements SwarmLink, TagDirectory, AsyncDisposable {
  readonly #options: SwarmLinksOptions;
  readonly #timing: SwarmLinksTiming;
  readonly #links = new Map<string, SchedulerLink>();
  readonly #closing = new Set<Promise<void>>();
  readonly #watching: Disposable;
  #ownVouchers: OwnVouchers | undefined;
  #inventory: OwnInventory | undefined;
  readonly #followers = new Map<string, Set<AsyncQueue<VoucherBatch>>>();
  readonly #leases: HeldLeases;
  readonly #leaseQuestions = new Questions<SchedulerLink, boolean>();
  readonly #asking = new Map<string, Promise<boolean | undefined>>();
  readonly #tagQuestions = new Questions<SchedulerLink, readonly TagRecord[]>();
  /** Look for a stream whenever one has come. */
  readonly #awaiting = new Set<() => void>();
  readonly #recentTags = new LRUCache<string, TagRecord>({ max: MAX_RECENT_TAGS });
  /** Gathered until the next flush. */
  #vouched = new Map<string, VoucherBatch[]>();
  #forgotten = new Set<string>();
  #flushTimer: NodeJS.Timeout | undefined;
  readonly #renewal: NodeJS.Timeout;

  constructor(options: SwarmLinksOptions) {
    this.#options = options;
    this.#timing = { ...SWARM_LINKS_TIMING, ...options.timing };
    this.#leases = new HeldLeases((taskId) => this.#returnLease(taskId));
    this.#watching = options.schedulers.onChange(() => this.#sync());
    this.#renewal = setInterval(() => this.#renewLeases(), this.#timing.leaseRenewalMs);
    this.#renewal.unref();
    this.#sync();
  }

  /** From now on schedulers are told of these after every reconnect; until then there is nothing to tell. */
  tellAgainFrom(vouchers: OwnVouchers, inventory?: OwnInventory): void {
    this.#ownVouchers = vouchers;
    this.#inventory = inventory;
    this.#tellEverythingAgain();
  }

  /** Where downloads are registered with a scheduler; undefined while no stream with it stands. */
  peersAt(address: string): LinkedPeers | undefined {
    return this.#links.get(address)?.peers;
  }

  async opened(address: string, timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if (this.peersAt(address) !== undefined) resolve();
    };
    const timer = setTimeout(resolve, timeoutMs);
    this.#awaiting.add(look);
    look();
    await promise;
    this.#awaiting.delete(look);
    clearTimeout(timer);
  }

  /** Tells that this daemon is about to stop, so that nobody is sent to it any more. */
  drain(reason: string): void {
    const value = create(swarm.DrainSchema, { reason });
    for (const link of this.#openLinks()) link.send({ case: 'drain', value });
  }

  /** Schedulers with which a stream stands. */
  get linkedSchedulers(): readonly string[] {
    return this.#openLinks().map(({ address }) => address);
  }

  vouch(taskId: string, batch: VoucherBatch): void {
    const batches = this.#vouched.get(taskId);
    if (batches === undefined) this.#vouched.set(taskId, [batch]);
    else batches.push(batch);
    this.#flushSoon();
  }

  /** Tells that tasks are no longer here. @returns false when no scheduler of ours answers for the task */
  forget(taskId: string): boolean {
    if (!this.isLinked(taskId)) return false;
    this.#forgotten.add(taskId);
    this.#flushSoon();
    return true;
  }

  async *follow(taskId: string, { signal }: { signal: AbortSignal }): AsyncGenerator<VoucherBatch, void, undefined> {
    const queue = new AsyncQueue<VoucherBatch>(MAX_WAITING_BATCHES);
    const followers = this.#followers.get(taskId) ?? new Set();
    this.#followers.set(taskId, followers);
    followers.add(queue);
    // Also where others follow already: what they were told before is told to everybody again.
    this.#ownerOf(taskId)?.send(followTask(taskId));
    try {
      yield* untilAborted(queue, signal);
    } finally {
      followers.delete(queue);
      if (followers.size === 0) {
        this.#followers.delete(taskId);
        const unfollow = create(swarm.UnfollowTaskSchema, { taskId });
        this.#ownerOf(taskId)?.send({ case: 'unfollowTask', value: unfollow });
      }
    }
  }

  async *followParent(
    parent: { readonly ip: string; readonly port: number; readonly hostId: string },
    taskId: string,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<VoucherBatch, void, undefined> {
    let taken = 0;
    try {
      for await (const batch of this.#options.parents.at(parent).followVouchers(taskId, { signal })) {
        taken += batch.vouchers.length;
        if (taken > MAX_VOUCHERS_OF_PARENT) return;
        // It speaks for itself alone.
        yield { ...batch, vouchers: batch.vouchers.map((voucher) => ({ ...voucher, hostId: parent.hostId })) };
      }
    } catch (error) {
      if (!signal.aborted)
        this.#options.logger.debug({ parent: parent.hostId, taskId, err: error }, 'a parent does not vouch');
    }
  }

  isLinked(taskId: string): boolean {
    return this.#ownerOf(taskId) !== undefined;
  }

  blame(taskId: string, pieceNumber: number, hostId: string, blamedFor: BlamedFor): void {
    const value = create(swarm.BlameSchema, { taskId, pieceNumber, hostId, offence: OFFENCES[blamedFor] });
    this.#ownerOf(taskId)?.send({ case: 'blame', value });
  }

  async requestLease(
    taskId: string,
    { signal }: { signal: AbortSignal },
  ): Promise<OriginLease | 'unlinked' | undefined> {
    signal.throwIfAborted();
    if (this.#leases.has(taskId)) return this.#leases.hold(taskId);
    const owner = this.#ownerOf(taskId);
    if (owner === undefined) return 'unlinked';
    let asking = this.#asking.get(taskId);
    if (asking === undefined) {
      asking = this.#askForLease(owner, taskId).finally(() => this.#asking.delete(taskId));
      this.#asking.set(taskId, asking);
    }
    const isGranted = await asking;
    // Whoever has left meanwhile takes no part; what nobody holds goes back.
    signal.throwIfAborted();
    if (isGranted === undefined) return 'unlinked';
    return isGranted ? this.#leases.hold(taskId) : undefined;
  }

  /** One question for all who want to fetch the task now. */
  async #askForLease(owner: SchedulerLink, taskId: string): Promise<boolean | undefined> {
    const isGranted = await this.#leaseQuestions.ask(
      owner,
      (requestId) => owner.send(leaseRequest(requestId, taskId)),
      { timeoutMs: this.#timing.leaseTimeoutMs },
    );
    if (isGranted === true) {
      // Held until those who asked have taken it; given back at once when none did.
      const lease = this.#leases.hold(taskId);
      setImmediate(() => lease[Symbol.dispose]());
    } else if (isGranted === undefined) {
      // A late yes must not lie about: the scheduler hears this after the question.
      this.#returnLease(taskId);
    }
    return isGranted;
  }

  record(record: TagRecord): void {
    const { registry, repository, tag, accept } = record;
    this.#recentTags.set(JSON.stringify([registry, repository, tag, accept]), record);
    for (const link of this.#openLinks()) link.send(recordTag(record));
  }

  async find(key: TagKey, { signal }: { signal: AbortSignal }): Promise<readonly TagRecord[]> {
    const { registry, repository, tag, accept } = key;
    const timeoutMs = this.#timing.tagTimeoutMs;
    const found = await Promise.all(
      this.#openLinks().map((link) =>
        this.#tagQuestions.ask(
          link,
          (requestId) => {
            const value = create(swarm.FindTagSchema, { requestId, registry, repository, tag, accept });
            link.send({ case: 'findTag', value });
          },
          { timeoutMs, signal },
        ),
      ),
    );
    return newestFirst(found.flatMap((records) => records ?? []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watching[Symbol.dispose]();
    clearInterval(this.#renewal);
    clearTimeout(this.#flushTimer);
    for (const [address, link] of this.#links) this.#drop(address, link);
    for (const followers of this.#followers.values()) for (const queue of followers) queue.close();
    await Promise.all(this.#closing);
  }

  /** Opens and closes links as schedulers come and go. */
  #sync(): void {
    const { schedulers, hostId, logger } = this.#options;
    const wanted = new Map(schedulers.own().map((client) => [client.address, client]));
    for (const [address, link] of this.#links) if (wanted.get(address) !== link.client) this.#drop(address, link);
    for (const [address, client] of wanted) {
      if (this.#links.has(address)) continue;
      const link = new SchedulerLink({
        ...{ client, hostId, logger, version: VERSION },
        reconnectDelayMs: this.#timing.reconnectDelayMs,
        onChange: (changed) => {
          if (!changed.isOpen) {
            this.#leaseQuestions.gone(changed);
            this.#tagQuestions.gone(changed);
          }
          this.#tellEverythingAgain();
          for (const look of this.#awaiting) look();
        },
        onBroken: () => schedulers.doubt(address),
        onMessage: (from, response) => this.#hear(from, response),
      });
      this.#links.set(address, link);
    }
  }

  #drop(address: string, link: SchedulerLink): void {
    this.#links.delete(address);
    const closing = link[Symbol.asyncDispose]().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #openLinks(): SchedulerLink[] {
    return [...this.#links.values()].filter(({ isOpen }) => isOpen);
  }

  #ownerOf(taskId: string): SchedulerLink | undefined {
    for (const address of this.#options.schedulers.order(taskId)) {
      const link = this.#links.get(address);
      if (link?.isOpen === true) return link;
    }
    return undefined;
  }

  /** A stream came or went: whatever a scheduler must know to answer for its tasks is said again. */
  #tellEverythingAgain(): void {
    for (const taskId of this.#followers.keys()) this.#ownerOf(taskId)?.send(followTask(taskId));
    this.#renewLeases();
    for (const link of this.#openLinks()) link.tellAgain(this.#backlogOf(link));
  }

  *#backlogOf(link: SchedulerLink): Generator<LinkRequestCase, void, undefined> {
    // What others can fetch from here comes first: they may be waiting for it.
    for (const value of this.#inventory?.messages((taskId) => this.#ownerOf(taskId) === link) ?? [])
      yield { case: 'inventory', value };
    for (const record of this.#recentTags.values()) yield recordTag(record);
    let told = 0;
    for (const taskId of this.#ownVouchers?.taskIds() ?? []) {
      if (this.#ownerOf(taskId) !== link) continue;
      for (const batch of this.#ownVouchers?.of(taskId) ?? []) {
        if (told >= MAX_VOUCHERS_TOLD_AGAIN) return;
        told += batch.vouchers.length;
        yield vouch(taskId, batch, this.#options.hostId);
      }
    }
  }

  #hear(link: SchedulerLink, response: swarm.LinkResponse['response']): void {
    switch (response.case) {
      case 'taskVouchers':
        this.#deliver(response.value);
        return;
      case 'leaseAnswer': {
        const { requestId, granted } = response.value;
        this.#leaseQuestions.answer(requestId, granted);
        return;
      }
      case 'tagAnswer':
        this.#tagQuestions.answer(response.value.requestId, response.value.records.map(fromTagMessage));
        return;
      case 'drain':
        this.#options.logger.info(
          { scheduler: link.address, reason: response.value.reason },
          'a scheduler is about to stop; downloads go on with the next one',
        );
        link.peers?.break(new Error('the scheduler is about to stop'));
        this.#options.schedulers.retire(link.address);
        return;
      case 'opened':
      case 'offer':
      case 'originGrant':
      case 'noted':
      case 'refusal':
      case 'hotPieces':
      case undefined: // what a newer scheduler says
        return;
      default:
        response satisfies never;
    }
  }

  #deliver(message: swarm.TaskVouchers): void {
    const followers = this.#followers.get(message.taskId);
    const batch = parseVouchers(message, '');
    if (followers === undefined || batch === undefined) return;
    for (const queue of followers) {
      if (queue.size < MAX_WAITING_BATCHES) queue.push(batch);
    }
  }

  #flushSoon(): void {
    this.#flushTimer ??= setTimeout(() => this.#flush(), this.#timing.batchMs);
  }

  #flush(): void {
    this.#flushTimer = undefined;
    const vouched = this.#vouched;
    const forgotten = new Map<SchedulerLink, string[]>();
    for (const taskId of this.#forgotten) {
      const owner = this.#ownerOf(taskId);
      if (owner === undefined) continue;
      const taskIds = forgotten.get(owner);
      if (taskIds === undefined) forgotten.set(owner, [taskId]);
      else taskIds.push(taskId);
    }
    this.#vouched = new Map();
    this.#forgotten = new Set();
    for (const [taskId, batches] of vouched) {
      const owner = this.#ownerOf(taskId);
      for (const batch of repacked(batches)) owner?.send(vouch(taskId, batch, this.#options.hostId));
    }
    for (const [owner, taskIds] of forgotten)
      owner.send({ case: 'forgetTasks', value: create(swarm.ForgetTasksSchema, { taskIds }) });
  }

  #returnLease(taskId: string): void {
    const value = create(swarm.LeaseReturnSchema, { taskId });
    this.#ownerOf(taskId)?.send({ case: 'leaseReturn', value });
  }

  #renewLeases(): void {
    for (const taskId of this.#leases.taskIds)
      this.#ownerOf(taskId)?.send(leaseRequest(this.#leaseQuestions.nextId(), taskId));
  }
}

const followTask = (taskId: string): LinkRequestCase => ({
  case: 'followTask',
  value: create(swarm.FollowTaskSchema, { taskId }),
});

const leaseRequest = (requestId: bigint, taskId: string): LinkRequestCase => ({
  case: 'leaseRequest',
  value: create(swarm.LeaseRequestSchema, { requestId, taskId }),
});

const recordTag = (record: TagRecord): LinkRequestCase => ({
  case: 'recordTag',
  value: create(swarm.RecordTagSchema, { record: toTagMessage(record) }),
});

const vouch = (taskId: string, batch: VoucherBatch, hostId: string): LinkRequestCase => ({
  case: 'vouch',
  value: create(swarm.VouchSchema, { taskId, ...toVoucherMessage(batch, hostId) }),
});

/** The same vouchers, of each grid together, in messages of moderate size. */
function* repacked(batches: readonly VoucherBatch[]): Generator<VoucherBatch, void, undefined> {
  const byGrid = Map.groupBy(batches, ({ contentLength, pieceLength }) => `${contentLength} ${pieceLength}`);
  for (const [first, ...others] of byGrid.values()) {
    if (first === undefined) continue;
    const vouchers = [first, ...others].flatMap((batch) => batch.vouchers);
    for (let at = 0; at < vouchers.length; at += MAX_VOUCHERS_PER_MESSAGE)
      yield { ...first, vouchers: vouchers.slice(at, at + MAX_VOUCHERS_PER_MESSAGE) };
  }
}
