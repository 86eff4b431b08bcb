import type { StoredTask, TaskStore } from '@d7y/peer-engine';
import { packetIdOf, type PieceWatch, type TaskPieces } from '@d7y/peer-protocol';
import { PieceSet } from '@d7y/piece';
import { AsyncQueue, delay } from '@d7y/service-kit';
import { type Reveal, Steering } from '@d7y/swarm';
import type { UploadObserver } from './uploads.ts';

/** How often children are looked at that could be told nothing, in ms. */
const TICK_MS = 250;
/** Nothing was sent for so long, in ms: this host has nothing better to do than to send again what others have already. */
const IDLE_MS = 500;

/** Without a piece that leaves for so long the origin is not waited for any more, in ms. */
const LONGEST_PACE_MS = 5_000;
const PACE_CHECK_MS = 20;
/** Slots that are taken and let no piece through for so long, in ms, keep nobody busy. */
const STUCK_MS = 5_000;
/** Bounds of the time in which a child should ask for what it was told of, in ms. */
const LEAST_PATIENCE_MS = 1_000;
const MOST_PATIENCE_MS = 20_000;
/** How much a new measurement of the time between two pieces counts against all before it. */
const SMOOTHING = 0.2;

/** A daemon that follows a task here. */
interface Child {
  readonly hostId: string;
  readonly ip: string;
  readonly packetId: number;
  /** Pieces to announce to it. */
  readonly news: AsyncQueue<number>;
  /** No more pieces come to this host. */
  hasAll: boolean;
}

interface TaskState {
  readonly steering: Steering<Child>;
  readonly children: Set<Child>;
  ticks: NodeJS.Timeout | undefined;
}

export interface SteeredTasksOptions {
  /** Pieces fetched from an origin before children have got them. */
  readonly lookAhead: number;
  /** So many uploads fill this host's uplink. */
  readonly uploadSlots: number;
  /** The child is a daemon of ours, which does not take silence for death. */
  readonly isOwn: (hostId: string) => boolean;
}

const DEFAULTS: SteeredTasksOptions = { lookAhead: Infinity, uploadSlots: Infinity, isOwn: () => false };

/**
 * What children are told of the tasks of this host, and when: pieces that came from an origin, which nobody else has yet, each to one child
 * first. Pieces that came from peers are told as they come. @see Steering
 */
export class SteeredTasks implements UploadObserver {
  readonly #store: Pick<TaskStore, 'get'>;
  readonly #clock: () => number;
  /** What has left this host is forgotten with the task. */
  readonly #tasks = new WeakMap<StoredTask, TaskState>();
  /** Pieces that are being sent, or wait for their turn. */
  #uploads = 0;
  #idleSinceMs = -Infinity;
  /** Pieces sent so far. */
  #sent = 0;
  #sentAtMs = -Infinity;
  #busySinceMs = 0;
  /** Between two pieces that left, of late, while somebody waited for them, in ms. */
  #pieceMs = 0;
  #patience = { atMs: -Infinity, ms: LEAST_PATIENCE_MS };
  /** Tasks that somebody follows. */
  readonly #followed = new Set<TaskState>();
  readonly #options: SteeredTasksOptions;

  /** @param clock monotonic, in ms */
  constructor(store: Pick<TaskStore, 'get'>, clock: () => number, options: Partial<SteeredTasksOptions> = {}) {
    this.#store = store;
    this.#clock = clock;
    this.#options = { ...DEFAULTS, ...options };
  }

  /** The same tasks, as children are told of them. Whoever is no child sees all. */
  over(inner: TaskPieces): TaskPieces {
    return {
      opening: (taskId) => inner.opening(taskId),
      watch: (taskId, child) => {
        const watch = inner.watch(taskId, child);
        const stored = this.#store.get(taskId);
        if (watch === undefined || stored === undefined || child === undefined) return watch;
        return this.#steered(watch, stored, child.hostId, new PieceSet(child.interestedPieceNumbers));
      },
    };
  }

  /** Children of this task get pieces from here that nobody else has. */
  isFresh(taskId: string): boolean {
    const stored = this.#store.get(taskId);
    const steering = stored && this.#tasks.get(stored)?.steering;
    return steering !== undefined && steering.childCount > 1 && steering.freshCount > 0;
  }

  /**
   * Waits while children of this host have so many pieces to get from it that nobody else has: more of the origin would only lie here.
   * @returns undefined when there is nothing to wait for. Never rejects; no wait is longer than a few seconds without a piece that leaves
   */
  pace(taskId: string, { signal }: { signal: AbortSignal }): Promise<void> | undefined {
    return this.#isAhead(taskId) ? this.#untilSent(taskId, signal) : undefined;
  }

  #isAhead(taskId: string): boolean {
    const stored = this.#store.get(taskId);
    const steering = stored && this.#tasks.get(stored)?.steering;
    return steering !== undefined && steering.wantedFreshCount >= this.#options.lookAhead;
  }

  async #untilSent(taskId: string, signal: AbortSignal): Promise<void> {
    let sent = this.#sent;
    let sinceMs = this.#clock();
    while (this.#isAhead(taskId) && !signal.aborted && this.#clock() - sinceMs < LONGEST_PACE_MS) {
      await delay(PACE_CHECK_MS, { signal }).catch(() => undefined);
      if (this.#sent === sent) continue;
      sent = this.#sent;
      sinceMs = this.#clock();
    }
  }

  asked(taskId: string, pieceNumber: number, from: { readonly ip: string; readonly packetId: number }) {
    const stored = this.#store.get(taskId);
    const state = stored && this.#tasks.get(stored);
    if (this.#uploads++ === 0) this.#busySinceMs = this.#clock();
    const ended = (): void => {
      this.#idleSinceMs = this.#clock();
      this.#uploads--;
    };
    if (state === undefined) return ended;
    const child = childOf(state.children, from);
    state.steering.pieceAsked(child, pieceNumber, this.#clock());
    return (isSent: boolean) => {
      ended();
      const now = this.#clock();
      if (isSent) {
        this.#sent++;
        this.#pieceMs += (now - Math.max(this.#sentAtMs, this.#busySinceMs) - this.#pieceMs) * SMOOTHING;
        this.#sentAtMs = now;
      }
      const { steering } = state;
      tell(isSent ? steering.pieceSent(child, pieceNumber, now) : steering.pieceNotSent(child, pieceNumber, now));
      this.#settle(state);
    };
  }

  #steered(watch: PieceWatch, stored: StoredTask, hostId: string, wanted: PieceSet): PieceWatch {
    const state = this.#stateOf(stored);
    const { steering, children } = state;
    const child: Child = {
      ...{ hostId, ip: /^([0-9a-fA-F.:]+)-/.exec(hostId)?.[1] ?? '', packetId: packetIdOf(hostId) },
      ...{ news: new AsyncQueue<number>(stored.layout.pieceCount), hasAll: false },
    };
    children.add(child);
    let isOpen = true;
    const hold = (number: number): void => {
      const isElsewhere = stored.piece(number)?.trafficType !== 'backToSource';
      tell(steering.pieceHeld(number, this.#clock(), { isElsewhere }));
    };
    for (const number of watch.finished) hold(number);
    tell(steering.childJoined(child, this.#clock(), wanted));
    const followed = async (): Promise<void> => {
      for await (const number of watch.newlyFinished) {
        if (!isOpen) return;
        hold(number);
      }
      child.hasAll = true;
      if (watch.state() === 'failed') child.news.close();
      this.#settle(state);
    };
    followed().catch((error: unknown) => child.news.fail(error instanceof Error ? error : new Error(String(error))));
    this.#followed.add(state);
    state.ticks ??= setInterval(() => this.#tick(state), TICK_MS).unref();
    return {
      finished: [],
      newlyFinished: child.news,
      // What is here is not what it knows of.
      state: () =>
        watch.state() === 'finished' && !(child.news.isClosed && child.news.size === 0) ? 'running' : watch.state(),
      piece: (number) => watch.piece(number),
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        children.delete(child);
        child.news.close();
        tell(steering.childLeft(child, this.#clock()));
        if (children.size === 0) {
          clearInterval(state.ticks);
          state.ticks = undefined;
          this.#followed.delete(state);
        }
        watch[Symbol.dispose]();
      },
    };
  }

  #stateOf(stored: StoredTask): TaskState {
    const known = this.#tasks.get(stored);
    if (known !== undefined) return known;
    const steering = new Steering<Child>({ pieceCount: stored.layout.pieceCount });
    const state: TaskState = { steering, children: new Set(), ticks: undefined };
    this.#tasks.set(stored, state);
    return state;
  }

  #tick(state: TaskState): void {
    const nowMs = this.#clock();
    const { uploadSlots, isOwn } = this.#options;
    const isIdle = this.#uploads === 0 && nowMs - this.#idleSinceMs >= IDLE_MS;
    const isBusy = this.#uploads >= uploadSlots && nowMs - this.#sentAtMs < STUCK_MS;
    const isPatient = ({ hostId }: Child): boolean => isOwn(hostId);
    tell(state.steering.tick(nowMs, { isIdle, isBusy, patienceMs: this.#patienceMs, isPatient }));
    this.#settle(state);
  }

  /** As long as this host takes to send all that it has told somebody to fetch here. */
  get #patienceMs(): number {
    const nowMs = this.#clock();
    // Once for all tasks that are looked at in the meantime.
    if (nowMs - this.#patience.atMs < TICK_MS) return this.#patience.ms;
    let owed = 0;
    for (const { steering } of this.#followed) owed += steering.owedCount;
    const ms = Math.min(Math.max(owed * this.#pieceMs, LEAST_PATIENCE_MS), MOST_PATIENCE_MS);
    this.#patience = { atMs: nowMs, ms };
    return ms;
  }

  /** A child that knows of all that will ever be here needs no more attention. */
  #settle({ steering, children }: TaskState): void {
    for (const child of children) if (child.hasAll && steering.knowsAll(child)) child.news.close();
  }
}

function tell(reveals: readonly Reveal<Child>[]): void {
  for (const { child, pieces } of reveals) for (const piece of pieces) child.news.push(piece);
}

/** From the most to the least telling; somebody unknown where none fits: stock daemons may send any packet id, and come from another address. */
function childOf(children: ReadonlySet<Child>, { ip, packetId }: { ip: string; packetId: number }): Child {
  const address = ip.replace(/^::ffff:/, '');
  let best: Child | undefined;
  for (const child of children) {
    if (child.ip === address && child.packetId === packetId) return child;
    if (child.ip === address || (best === undefined && child.packetId === packetId)) best = child;
  }
  return best ?? { hostId: '', ip: address, packetId, news: new AsyncQueue(1), hasAll: false };
}
