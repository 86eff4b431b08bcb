// Who owns what: the hub owns the links of all daemons, who follows which task, and the books of vouchers and tags; hosts, blame and
// leases are the swarm's, which is told through its driver.
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { swarm } from '@d7y/api';
import { parseVouchers } from '@d7y/peer-protocol';
import type { Logger } from '@d7y/service-kit';
import type { TagMeaning, TaskVouchers, VoucherBookLimits } from '@d7y/swarm';
import { TagBook, VoucherBook } from '@d7y/swarm';
import { ConversationError, HostNotFoundError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { checkTagName, offenceOf, toTagMeaning, toTagRecord } from './link-messages.ts';
import { LinkOutbox } from './link-outbox.ts';
import type { OutboxCall } from './link-outbox.ts';
import { PeerDesk } from './peer-desk.ts';
import type { PeerDeskParts } from './peer-desk.ts';

/** A daemon that was refused a lease asks again after this. */
const LEASE_RETRY_MS = 1_000;
const MAX_TASK_ID_LENGTH = 256;
const MAX_FORGOTTEN_TASKS = 10_000;

export interface LinkHubOptions extends PeerDeskParts {
  /** Our advertised `ip:port`. */
  readonly instanceId: string;
  /** How long vouchers wait for others to travel with. */
  readonly batchMs: number;
  readonly vouchers?: Partial<VoucherBookLimits> | undefined;
  /** Unix time in ms, for tags. */
  readonly wallClock: () => number;
  readonly logger: Logger;
}

/** The open stream of one daemon. */
export interface Link {
  readonly hostId: string;
  readonly outbox: LinkOutbox;
  /** Where its peers speak. */
  readonly desk: PeerDesk;
}

/** What daemons of ours tell each other through this scheduler. */
export class LinkHub implements Disposable {
  readonly #options: LinkHubOptions;
  readonly #vouchers: VoucherBook;
  readonly #tags = new TagBook();
  /** By host id: there is one link per host. */
  readonly #links = new Map<string, Link>();
  readonly #followers = new Map<string, Set<Link>>();
  /** Tasks with news for their followers. */
  readonly #news = new Set<string>();
  #flushTimer: NodeJS.Timeout | undefined;

  constructor(options: LinkHubOptions) {
    this.#options = options;
    this.#vouchers = new VoucherBook(options.vouchers);
  }

  /** What there is, for metrics. */
  counts() {
    return {
      links: this.#links.size,
      peers: [...this.#links.values()].reduce((sum, { desk }) => sum + desk.size, 0),
      followedTasks: this.#followers.size,
      vouchers: this.#vouchers.size,
      voucherTasks: this.#vouchers.taskCount,
      tags: this.#tags.size,
    };
  }

  /** A daemon introduces itself. The link that its host had before is over. @throws {HostNotFoundError} before its announcement */
  open({ hostId }: swarm.LinkOpen, call: OutboxCall): Link {
    const { driver, instanceId } = this.#options;
    if (driver.swarm.host(hostId) === undefined) throw new HostNotFoundError(hostId);
    driver.tell((core, nowMs) => core.linkOpened(hostId, nowMs));
    const older = this.#links.get(hostId);
    if (older !== undefined) {
      this.#remove(older);
      older.desk.close();
      older.outbox.end(new ConnectError(`host ${hostId} speaks on another stream`, Code.Aborted));
    }
    const outbox = new LinkOutbox(hostId, call, (taskId) => this.#vouchersOf(taskId));
    const link = { hostId, outbox, desk: new PeerDesk(hostId, this.#options, (peer) => outbox.tellPeer(peer)) };
    this.#links.set(hostId, link);
    link.outbox.answer({ case: 'opened', value: create(swarm.LinkOpenedSchema, { instanceId, version: VERSION }) });
    return link;
  }

  /** The stream is gone. */
  close(link: Link): void {
    link.outbox.end();
    link.desk.close();
    if (this.#links.get(link.hostId) !== link) return;
    this.#remove(link);
    this.#options.driver.tell((core, nowMs) => core.linkLost(link.hostId, nowMs));
  }

  /** @throws {ConversationError} what no daemon of ours says */
  handle(link: Link, request: Exclude<swarm.LinkRequest['request'], { case: undefined | 'open' }>): void {
    switch (request.case) {
      case 'vouch':
        this.#vouch(link, request.value);
        return;
      case 'followTask':
        this.#follow(link, checkedTaskId(request.value.taskId));
        return;
      case 'unfollowTask':
        link.outbox.unfollow(request.value.taskId);
        this.#dropFollower(link, request.value.taskId);
        return;
      case 'blame':
        this.#blame(link, request.value);
        return;
      case 'leaseRequest':
        this.#lease(link, request.value);
        return;
      case 'leaseReturn': {
        const { taskId } = request.value;
        this.#options.driver.tell((core, nowMs) => core.leaseReturned(link.hostId, taskId, nowMs));
        return;
      }
      case 'forgetTasks':
        this.#forget(link, request.value.taskIds);
        return;
      case 'recordTag':
        if (request.value.record === undefined) throw new ConversationError('record_tag.record: missing');
        this.#recordTag(link, request.value.record);
        return;
      case 'findTag': {
        const { requestId } = request.value;
        const records = this.#findTag(request.value).map(toTagRecord);
        link.outbox.answer({ case: 'tagAnswer', value: create(swarm.TagAnswerSchema, { requestId, records }) });
        return;
      }
      case 'register':
      case 'started':
      case 'havePieces':
      case 'pieceFailed':
      case 'reschedule':
      case 'finished':
      case 'failed':
      case 'leave':
      case 'inventory':
        link.desk.handle(request);
        return;
      case 'drain':
        this.#options.logger.info({ hostId: link.hostId, reason: request.value.reason }, 'a daemon is about to leave');
        this.#options.driver.tell((core, nowMs) => core.hostDraining(link.hostId, nowMs));
        return;
      default:
        request satisfies never;
    }
  }

  /** Forgets what is out of use; called now and then. */
  expire(): void {
    const { driver } = this.#options;
    const isInUse = (taskId: string): boolean => this.#followers.has(taskId) || driver.swarm.task(taskId) !== undefined;
    this.#vouchers.expire(isInUse, driver.now());
  }

  /** Tells all daemons that this scheduler is about to stop: they go on with the next one. */
  drain(reason: string): void {
    for (const { outbox } of this.#links.values())
      outbox.answer({ case: 'drain', value: create(swarm.DrainSchema, { reason }) });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#flushTimer);
  }

  #vouchersOf(taskId: string): TaskVouchers | undefined {
    return this.#vouchers.of(taskId, this.#options.driver.now());
  }

  #vouch({ hostId }: Link, message: swarm.Vouch): void {
    const taskId = checkedTaskId(message.taskId);
    const batch = parseVouchers(message, hostId);
    if (batch === undefined) throw new ConversationError('vouch: vouchers that cannot be');
    if (batch.vouchers.some((voucher) => voucher.hostId !== hostId))
      throw new ConversationError(`host ${hostId} cannot vouch for others`);
    const { driver } = this.#options;
    if (driver.swarm.isDistrusted(hostId, driver.now())) return;
    if (this.#vouchers.add(taskId, hostId, batch, batch.vouchers, driver.now()) === 0) return;
    if (!this.#followers.has(taskId)) return;
    this.#news.add(taskId);
    this.#flushTimer ??= setTimeout(() => this.#flush(), this.#options.batchMs);
  }

  #flush(): void {
    this.#flushTimer = undefined;
    for (const taskId of this.#news)
      for (const { outbox } of this.#followers.get(taskId) ?? []) outbox.tellVouchers(taskId);
    this.#news.clear();
  }

  #follow(link: Link, taskId: string): void {
    if (!link.outbox.follow(taskId)) {
      this.#options.logger.warn({ hostId: link.hostId }, 'a daemon follows more tasks than it may');
      return;
    }
    const followers = this.#followers.get(taskId) ?? new Set();
    followers.add(link);
    this.#followers.set(taskId, followers);
  }

  #blame({ hostId }: Link, { taskId, pieceNumber, hostId: blamedId, offence: value }: swarm.Blame): void {
    const { driver, logger } = this.#options;
    const offence = offenceOf(value);
    if (offence === undefined) throw new ConversationError(`blame.offence: ${value} is none`);
    // Who never vouched for the piece is not guilty of a false voucher.
    if (offence === 'falseVoucher' && !this.#vouchers.hasVouched(blamedId, taskId, pieceNumber)) return;
    logger.warn({ hostId: blamedId, by: hostId, offence, taskId, pieceNumber }, 'a host is complained of');
    driver.tell((core, nowMs) => core.hostBlamed(blamedId, hostId, offence, nowMs));
    if (!driver.swarm.isDistrusted(blamedId, driver.now())) return;
    this.#vouchers.retract(blamedId);
    this.#tags.retract(blamedId);
  }

  #lease({ hostId, outbox }: Link, { requestId, taskId }: swarm.LeaseRequest): void {
    const { swarm: core } = this.#options.driver;
    const granted = core.leaseRequested(hostId, taskId, this.#options.driver.now());
    const retryAfterMs = granted ? 0 : LEASE_RETRY_MS;
    outbox.answer({
      case: 'leaseAnswer',
      value: create(swarm.LeaseAnswerSchema, { requestId, granted, retryAfterMs }),
    });
  }

  #forget({ hostId }: Link, taskIds: readonly string[]): void {
    if (taskIds.length > MAX_FORGOTTEN_TASKS) throw new ConversationError('forget_tasks: too many in one message');
    for (const taskId of taskIds) this.#options.driver.tell((core, nowMs) => core.deleteTask(hostId, taskId, nowMs));
  }

  #recordTag({ hostId }: Link, record: swarm.TagRecord): void {
    const { driver, wallClock } = this.#options;
    const meaning = toTagMeaning(record);
    if (!driver.swarm.isDistrusted(hostId, driver.now())) this.#tags.record(meaning, hostId, wallClock());
  }

  #findTag(name: swarm.FindTag): readonly TagMeaning[] {
    checkTagName(name);
    return this.#tags.find(name, this.#options.wallClock());
  }

  #dropFollower(link: Link, taskId: string): void {
    const followers = this.#followers.get(taskId);
    if (followers?.delete(link) === true && followers.size === 0) this.#followers.delete(taskId);
  }

  #remove(link: Link): void {
    this.#links.delete(link.hostId);
    for (const taskId of link.outbox.followedTasks) this.#dropFollower(link, taskId);
  }
}

function checkedTaskId(taskId: string): string {
  if (taskId.length < 1 || taskId.length > MAX_TASK_ID_LENGTH) throw new ConversationError('task_id: no such id');
  return taskId;
}
