import { placeOf } from './nearness.ts';
import type { Place } from './nearness.ts';
import type { Peer, PeerView } from './peer.ts';
import type { ReadonlySmallSet } from './small-set.ts';
import { SmallSet } from './small-set.ts';
import { nextState } from './transition-table.ts';
import type { Task } from './task.ts';
import type { TransitionTable } from './transition-table.ts';

/** Seeds fetch first, on a scheduler's word; everybody else is normal. */
export type HostKind = 'normal' | 'seed';

/** What a host says of itself. */
export interface HostFacts {
  readonly id: string;
  readonly kind: HostKind;
  readonly ip: string;
  /** Upload service. */
  readonly port: number;
  /** Data centre; compared without regard to case. */
  readonly idc: string | undefined;
  /** `|`-separated from the widest to the narrowest, such as `country|city|rack`. */
  readonly location: string | undefined;
  /** Takes but does not give: nobody's parent. */
  readonly disableShared: boolean;
  /** How often the host promises to announce itself; undefined when it promises nothing. */
  readonly announceIntervalMs: number | undefined;
  /** What its network or its limits allow it to upload, when it says so. */
  readonly uploadBitsPerSecond?: number | undefined;
}

/** What the children of a host's peers may ask of it at the most, all tasks together. */
export interface UploadEstimate {
  readonly children: number;
  readonly bitsPerSecond: number;
  /** Pieces at the same time. */
  readonly pieces: number;
  /** Bytes, each child's content once. */
  readonly contentLength: number;
}

/**
 * How sure we are that a host can be reached.
 * `unproven`: a seed that has not yet passed its first health check. `suspect`: a stream broke, a check failed or
 * children complain. `lost`: suspect, and a check failed with nothing heard in between.
 */
export type HostState =
  | { readonly kind: 'unproven' }
  | { readonly kind: 'alive' }
  | { readonly kind: 'suspect'; readonly sinceMs: number }
  | { readonly kind: 'lost'; readonly sinceMs: number };

export type HostEvent = 'announced' | 'heard' | 'doubted' | 'proved' | 'missed';

/** Normal hosts. `missed` is a failed health check. */
export const HOST_TRANSITIONS = {
  announced: { from: ['suspect', 'lost'], to: 'alive' },
  heard: { from: ['suspect', 'lost'], to: 'alive' },
  doubted: { from: ['alive'], to: 'suspect' },
  proved: { from: ['unproven', 'suspect', 'lost'], to: 'alive' },
  missed: { from: ['unproven', 'suspect'], to: 'lost' },
} as const satisfies TransitionTable<HostState['kind'], HostEvent>;

/** Seeds are triggered only after they have answered: a lost one proves itself anew. */
export const SEED_TRANSITIONS = {
  ...HOST_TRANSITIONS,
  announced: { from: ['lost'], to: 'unproven' },
  heard: { from: ['suspect'], to: 'alive' },
} as const satisfies TransitionTable<HostState['kind'], HostEvent>;

/** A machine as the rest of the program sees it. */
export interface HostView {
  readonly id: string;
  readonly facts: HostFacts;
  readonly state: HostState;
  /** Introduced itself as a program of ours. */
  readonly isOwn: boolean;
  /** Its own stream is open: it is there at this moment. */
  readonly isLinked: boolean;
  /** It is about to leave, or its own stream is gone for good: nobody's parent. */
  readonly isLeaving: boolean;
  /** Uploads far slower than others do, by what several of its children report. */
  readonly isSlow: boolean;
  readonly announcedAtMs: number;
  readonly uploads: UploadEstimate;
  readonly peers: ReadonlySmallSet<PeerView>;
}

/** Owned by the swarm. */
export class Host implements HostView {
  #facts: HostFacts;
  #state: HostState;
  #isLeaving = false;
  #isRemembered = false;
  /** Where it is, as `nearness.ts` compares it. */
  place: Place;
  readonly isSeed: boolean;
  isOwn: boolean;
  isLinked = false;
  /** May be sent children, as far as we know. Kept, since it is asked for every parent and every child of each. */
  isFit = false;
  /** When its own stream broke, as long as it is neither back nor given up. */
  unlinkedAtMs: number | undefined;
  /** Until then it is left out of the offers for what others complained of. */
  guiltyUntilMs = -Infinity;
  /** A remembered host that was asked for its health on somebody's behalf. */
  isAsked = false;
  /** Uploads far slower than others do. */
  isSlow = false;
  announcedAtMs: number;
  /** When one of its peers last said that parents brought something. */
  receivedAtMs = -Infinity;
  /** The last sign of life of any kind. */
  heardAtMs: number;
  /** Children of all its peers together. */
  childCount = 0;
  readonly peers = new SmallSet<Peer>();
  /** Tasks with children that wait until this host serves fewer. */
  readonly awaitedBy = new SmallSet<Task>();

  constructor(facts: HostFacts, isOwn: boolean, nowMs: number) {
    this.#facts = facts;
    this.place = placeOf(facts);
    this.isSeed = facts.kind === 'seed';
    this.isOwn = isOwn;
    this.announcedAtMs = nowMs;
    this.heardAtMs = nowMs;
    this.#state = { kind: this.isSeed ? 'unproven' : 'alive' };
    this.#judge();
  }

  get id(): string {
    return this.#facts.id;
  }

  get facts(): HostFacts {
    return this.#facts;
  }

  /** @param facts of the same kind as before */
  set facts(facts: HostFacts) {
    this.#facts = facts;
    this.place = placeOf(facts);
    this.#judge();
  }

  get state(): HostState {
    return this.#state;
  }

  set state(state: HostState) {
    this.#state = state;
    this.#judge();
  }

  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  set isLeaving(isLeaving: boolean) {
    this.#isLeaving = isLeaving;
    this.#judge();
  }

  /** Known from before a restart, and not heard of since. */
  get isRemembered(): boolean {
    return this.#isRemembered;
  }

  set isRemembered(isRemembered: boolean) {
    this.#isRemembered = isRemembered;
    this.#judge();
  }

  /** Summed up when it is asked for, which only the policy `upstream` does often. */
  get uploads(): UploadEstimate {
    const uploads = { children: this.childCount, bitsPerSecond: 0, pieces: 0, contentLength: 0 };
    for (const { children } of this.peers) {
      for (const { task, concurrentPieceCount } of children) {
        const { pieceLength = 0, contentLength = 0 } = task.size;
        uploads.pieces += concurrentPieceCount;
        uploads.bitsPerSecond += concurrentPieceCount * pieceLength * 8;
        uploads.contentLength += contentLength;
      }
    }
    return uploads;
  }

  /** Address of the upload service, as the ring of seeds knows it. */
  get address(): string {
    const { ip, port } = this.facts;
    return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
  }

  /** @returns whether the state changed */
  apply(event: HostEvent, nowMs: number): boolean {
    const next = nextState(this.isSeed ? SEED_TRANSITIONS : HOST_TRANSITIONS, this.state.kind, event);
    if (next === undefined || next === this.state.kind) return false;
    this.state = next === 'suspect' || next === 'lost' ? { kind: next, sinceMs: nowMs } : { kind: next };
    return true;
  }

  #judge(): void {
    this.isFit = !this.#facts.disableShared && this.#state.kind !== 'lost' && !this.#isLeaving && !this.#isRemembered;
  }
}
