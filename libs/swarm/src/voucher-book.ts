import { createLayout } from '@d7y/piece';

/** Grid to which the piece numbers of vouchers belong. */
export interface VoucherGrid {
  /** Bytes. */
  readonly contentLength: number;
  /** Bytes. */
  readonly pieceLength: number;
}

/** The SHA-256 of a piece, and who vouches for it. */
export interface Voucher {
  /** Counted from 0. */
  readonly pieceNumber: number;
  /** 64 lower-case hex digits. */
  readonly sha256: string;
  readonly hostId: string;
}

/** Vouchers of one grid. */
export interface VoucherRun extends VoucherGrid {
  readonly vouchers: readonly Voucher[];
}

/** What limits a voucher book. */
export interface VoucherBookLimits {
  /** Vouchers of one task; later ones are not taken. */
  readonly maxPerTask: number;
  /** Hosts that may vouch for one task. */
  readonly maxHostsPerTask: number;
  /** Vouchers of one host in all tasks; further ones are not taken. */
  readonly maxPerHost: number;
  /** Vouchers of all tasks; the task that was out of use for longest makes room. */
  readonly maxVouchers: number;
  /** A task that the swarm does not know is forgotten when nobody vouched or asked for this long. */
  readonly ttlMs: number;
}

export const VOUCHER_BOOK_LIMITS: VoucherBookLimits = {
  maxPerTask: 65_536,
  maxHostsPerTask: 16,
  maxPerHost: 200_000, // what a daemon tells of at most
  maxVouchers: 500_000, // some 100 MB; 2 TiB of content at 4 MiB a piece
  ttlMs: 6 * 3_600_000,
};

/** The vouchers of one task in the order in which they came; readers keep the position up to which they have read. */
export interface TaskVouchers {
  readonly size: number;
  /** Vouchers of one grid from a position on; `next` is where to go on, `size` once all are read. */
  read(from: number, maxCount: number): VoucherRun & { readonly next: number };
}

/** Who vouched for what. Vouchers that contradict each other are all kept: readers must see that somebody is wrong. */
export class VoucherBook {
  readonly #limits: VoucherBookLimits;
  /** In the order of last use. */
  readonly #tasks = new Map<string, TaskLog>();
  /** Host id → its vouchers in all tasks. */
  readonly #byHost = new Map<string, number>();
  #size = 0;

  constructor(limits: Partial<VoucherBookLimits> = {}) {
    this.#limits = { ...VOUCHER_BOOK_LIMITS, ...limits };
  }

  /** Vouchers of all tasks. */
  get size(): number {
    return this.#size;
  }

  get taskCount(): number {
    return this.#tasks.size;
  }

  /**
   * Takes what a host vouches for.
   * @returns how many of the vouchers are news
   * @throws {InvalidLayoutError} when there is no such grid
   */
  add(
    taskId: string,
    hostId: string,
    grid: VoucherGrid,
    vouchers: Iterable<Omit<Voucher, 'hostId'>>,
    nowMs: number,
  ): number {
    const { pieceCount } = createLayout(grid.contentLength, grid.pieceLength);
    const task = this.#use(taskId, nowMs) ?? new TaskLog(nowMs);
    const source = task.sourceOf(hostId, grid, this.#limits.maxHostsPerTask);
    if (source === undefined) return 0;
    const heldByHost = this.#byHost.get(hostId) ?? 0;
    let added = 0;
    for (const { pieceNumber, sha256 } of vouchers) {
      if (pieceNumber >= pieceCount || task.size >= this.#limits.maxPerTask) continue;
      if (heldByHost + added >= this.#limits.maxPerHost) break;
      if (task.add(source, pieceNumber, sha256)) added++;
    }
    if (added === 0) return 0;
    this.#tasks.set(taskId, task);
    this.#size += added;
    this.#byHost.set(hostId, heldByHost + added);
    this.#makeRoom(taskId);
    return added;
  }

  /** The vouchers of a task; asking counts as use. The object is replaced when vouchers are taken back. */
  of(taskId: string, nowMs: number): TaskVouchers | undefined {
    return this.#use(taskId, nowMs);
  }

  /** Whether the host vouches for this piece. */
  hasVouched(hostId: string, taskId: string, pieceNumber: number): boolean {
    return this.#tasks.get(taskId)?.has(hostId, pieceNumber) ?? false;
  }

  /** Takes back everything a host vouched for: its word counts no more. */
  retract(hostId: string): void {
    this.#byHost.delete(hostId);
    for (const [taskId, task] of this.#tasks) {
      const rest = task.without(hostId);
      if (rest === task) continue;
      this.#size += rest.size - task.size;
      if (rest.size === 0) this.#tasks.delete(taskId);
      else this.#tasks.set(taskId, rest);
    }
  }

  /** Forgets tasks out of use. @param isKnown the swarm knows the task */
  expire(isKnown: (taskId: string) => boolean, nowMs: number): void {
    for (const [taskId, task] of this.#tasks) {
      if (nowMs - task.usedAtMs < this.#limits.ttlMs) return; // in the order of use: all that follow are younger
      if (isKnown(taskId)) this.#use(taskId, nowMs);
      else this.#forget(taskId, task);
    }
  }

  #use(taskId: string, nowMs: number): TaskLog | undefined {
    const task = this.#tasks.get(taskId);
    if (task === undefined) return undefined;
    this.#tasks.delete(taskId);
    this.#tasks.set(taskId, task);
    task.usedAtMs = nowMs;
    return task;
  }

  #makeRoom(taskId: string): void {
    for (const [oldestId, oldest] of this.#tasks) {
      if (this.#size <= this.#limits.maxVouchers || oldestId === taskId) return;
      this.#forget(oldestId, oldest);
    }
  }

  #forget(taskId: string, task: TaskLog): void {
    this.#tasks.delete(taskId);
    this.#size -= task.size;
    for (const [hostId, count] of task.counts) {
      const left = (this.#byHost.get(hostId) ?? 0) - count;
      if (left > 0) this.#byHost.set(hostId, left);
      else this.#byHost.delete(hostId);
    }
  }
}

/** A host that vouches in a task, and its last word on each piece. */
interface Source extends VoucherGrid {
  readonly hostId: string;
  readonly digests: Map<number, string>;
}

class TaskLog implements TaskVouchers {
  usedAtMs: number;
  #log: { readonly source: Source; readonly pieceNumber: number; readonly sha256: string }[] = [];
  readonly #sources = new Map<string, Source>();
  /** Host id → its entries in the log. */
  readonly counts = new Map<string, number>();

  constructor(usedAtMs: number) {
    this.usedAtMs = usedAtMs;
  }

  get size(): number {
    return this.#log.length;
  }

  /** @returns undefined when no more hosts are heard */
  sourceOf(hostId: string, { contentLength, pieceLength }: VoucherGrid, maxHosts: number): Source | undefined {
    const known = this.#sources.get(hostId);
    if (known?.contentLength === contentLength && known.pieceLength === pieceLength) return known;
    if (known === undefined && this.#sources.size >= maxHosts) return undefined;
    const source = { hostId, contentLength, pieceLength, digests: new Map<number, string>() };
    this.#sources.set(hostId, source);
    return source;
  }

  /** @returns whether it is news */
  add(source: Source, pieceNumber: number, sha256: string): boolean {
    if (source.digests.get(pieceNumber) === sha256) return false;
    source.digests.set(pieceNumber, sha256);
    this.#log.push({ source, pieceNumber, sha256 });
    this.counts.set(source.hostId, (this.counts.get(source.hostId) ?? 0) + 1);
    return true;
  }

  has(hostId: string, pieceNumber: number): boolean {
    return this.#sources.get(hostId)?.digests.has(pieceNumber) ?? false;
  }

  read(from: number, maxCount: number): VoucherRun & { next: number } {
    const first = this.#log[from]?.source;
    const contentLength = first?.contentLength ?? 0;
    const pieceLength = first?.pieceLength ?? 0;
    const vouchers: Voucher[] = [];
    let next = from;
    for (; next < this.#log.length && vouchers.length < maxCount; next++) {
      const entry = this.#log[next];
      if (entry?.source.contentLength !== contentLength || entry.source.pieceLength !== pieceLength) break;
      vouchers.push({ pieceNumber: entry.pieceNumber, sha256: entry.sha256, hostId: entry.source.hostId });
    }
    return { contentLength, pieceLength, vouchers, next };
  }

  /** This log where the host has no part in it, else a new one of the others' vouchers. */
  without(hostId: string): TaskLog {
    if (!this.#sources.has(hostId)) return this;
    const rest = new TaskLog(this.usedAtMs);
    rest.#log = this.#log.filter(({ source }) => source.hostId !== hostId);
    for (const [otherId, source] of this.#sources) if (otherId !== hostId) rest.#sources.set(otherId, source);
    for (const [otherId, count] of this.counts) if (otherId !== hostId) rest.counts.set(otherId, count);
    return rest;
  }
}
