import type { AcquisitionTimeouts } from './acquisition.ts';
import type { Journal } from './journal.ts';
import type { OriginFetcher } from './origin-fetcher.ts';
import type { PeerFetcher } from './peer-fetcher.ts';
import type { OriginLease, SwarmLink } from './ports/swarm-link.ts';
import type { Progress } from './progress.ts';

/** What asking for help comes to; a decision of the acquisition, in its turn. */
export type LateEvent =
  | { readonly kind: 'late' }
  | { readonly kind: 'leaseAnswered'; readonly lease: OriginLease | 'unlinked' | undefined }
  | { readonly kind: 'originEnded'; readonly error: unknown };

export interface LateHelpInit {
  readonly taskId: string;
  readonly progress: Progress;
  readonly originFetcher: OriginFetcher;
  /** Where leave to fetch late pieces from the origin is asked; undefined when there is nobody to ask. */
  readonly link: Pick<SwarmLink, 'requestLease'> | undefined;
  readonly journal: Journal;
  readonly timeouts: Pick<AcquisitionTimeouts, 'lateMs' | 'leaseRetryMs'>;
  readonly clock: () => number;
  readonly peers: () => Pick<PeerFetcher, 'latePieces' | 'idleMs' | 'parents'>;
  /** An answer is due that may change everything. */
  readonly isWaiting: () => boolean;
  /** The origin may be asked for whatever is missing; may be asked with leave; must not, or cannot, be asked. */
  readonly origin: () => 'granted' | 'onLease' | 'closed';
  readonly startOrigin: () => void;
  /** Somebody else has to be found. */
  readonly askOthers: () => void;
  readonly push: (event: LateEvent) => void;
  readonly signal: AbortSignal;
}

/**
 * Gets help for pieces that the parents at hand do not bring in time: the origin's, with the leave of a scheduler of ours, else that of
 * whoever a stock one names. Owner of the one request for leave, and of when the next one may be made.
 */
export class LateHelp {
  readonly #init: LateHelpInit;
  #leasePending = false;
  /** Whoever was asked for leave last is there and decides on it. */
  #isGuided = false;
  /** When help may be asked for again after a refusal. */
  #dueAtMs = 0;
  /** Late pieces for which others were asked, for lack of anybody who gives leave. */
  readonly #reported = new Set<number>();

  constructor(init: LateHelpInit) {
    this.#init = init;
  }

  /** A scheduler of ours gives or refuses leave: what it refuses is not to be taken. */
  get isGuided(): boolean {
    return this.#isGuided;
  }

  /** Something is late. Said often meanwhile: only what makes a difference becomes an event. */
  notice(): void {
    const { originFetcher, clock, isWaiting, push } = this.#init;
    if (this.#leasePending || isWaiting() || originFetcher.isRunning || clock() < this.#dueAtMs) return;
    push({ kind: 'late' });
  }

  /** Somebody else has to bring what is late. */
  ask(): void {
    const { link, taskId, originFetcher, push, signal } = this.#init;
    if (this.#leasePending || originFetcher.isRunning || this.#latePieces().length === 0) return;
    const origin = this.#init.origin();
    if (origin === 'granted') return this.#init.startOrigin();
    if (link === undefined || origin === 'closed') return this.#askUnlinked();
    this.#leasePending = true;
    link.requestLease(taskId, { signal }).then(
      (lease) => push({ kind: 'leaseAnswered', lease }),
      () => push({ kind: 'leaseAnswered', lease: undefined }),
    );
  }

  answered(lease: OriginLease | 'unlinked' | undefined): void {
    this.#leasePending = false;
    this.#isGuided = lease !== 'unlinked';
    if (lease === 'unlinked') return this.#askUnlinked();
    this.#postpone();
    this.#init.journal.note(
      lease === undefined
        ? 'leave to ask the origin for late pieces is refused'
        : 'the origin may be asked for late pieces',
    );
    if (lease !== undefined) this.fetch(lease);
  }

  /** Fetches what is late from the origin, and gives the lease back. @param lease undefined where nobody gives any */
  fetch(lease: OriginLease | undefined): void {
    const { originFetcher, push, signal } = this.#init;
    const fetching = originFetcher.fetchLate(() => this.#latePieces(), { signal });
    fetching.then(
      () => push({ kind: 'originEnded', error: undefined }),
      (error: unknown) => push({ kind: 'originEnded', error: error ?? new Error('the origin failed') }),
    );
    void fetching.catch(() => undefined).finally(() => lease?.[Symbol.dispose]());
  }

  /** Each late piece is a reason to ask for others once: a stock scheduler bears few questions, and does not name a parent again. */
  #askUnlinked(): void {
    const peers = this.#init.peers();
    const late = peers.latePieces().filter((number) => !this.#reported.has(number));
    for (const number of late) this.#reported.add(number);
    // Parents that are there and wait for pieces themselves get more time.
    if (late.length > 0 || !peers.parents.isHeard) this.#init.askOthers();
    else this.#postpone();
  }

  /** What the parents at hand do not bring in time, though they may bring it yet. */
  #latePieces(): readonly number[] {
    const peers = this.#init.peers();
    const late = peers.latePieces();
    if (peers.idleMs() < this.#init.timeouts.lateMs) return late;
    return [...late, ...this.#init.progress.missing()].sort((a, b) => a - b);
  }

  #postpone(): void {
    this.#dueAtMs = this.#init.clock() + this.#init.timeouts.leaseRetryMs;
  }
}
