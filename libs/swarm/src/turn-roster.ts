import type { IntakeLevel, TurnReason } from './intake.ts';

/** To whom a turn goes, for pieces of which task. */
export interface RosterTurn<Child> {
  readonly child: Child;
  readonly taskId: string;
  readonly reason: TurnReason;
}

/** How things stand at the holder. */
export interface HolderState {
  /** Since when it has had a turn to give, in ms. */
  readonly restingSinceMs: number;
  /** Whether it has pieces of the task that nobody else has. */
  readonly isFresh: (taskId: string) => boolean;
}

export interface TurnRosterOptions {
  /** A holder that could give its turn to nobody who receives too little gives it to others after so long, in ms. */
  readonly restMs: number;
  /** A child that has received too little for so long comes before others like it, in ms. */
  readonly starvingMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Tasks of which one child may have pieces offered. */
  readonly maxTasks: number;
}

export const DEFAULT_TURN_ROSTER: Omit<TurnRosterOptions, 'random'> = {
  restMs: 500,
  starvingMs: 1_000,
  maxTasks: 1024,
};

interface ChildState<Child> {
  readonly child: Child;
  level: IntakeLevel;
  /** Since when it receives so little. */
  levelSinceMs: number;
  /** Tasks that it follows; true where it wants something that is here. The one that had a turn last comes last. */
  readonly tasks: Map<string, boolean>;
  /** An offer is out. */
  isOffered: boolean;
  /** It was offered a turn, and said nothing since. */
  isSilent: boolean;
}

/**
 * Who gets the next turn of a host to send. With equal links a swarm is fastest when each host sends one piece at a time, to a child that receives
 * nothing, and the child names the piece only then: so nothing is bound early, and no link rests while another one is shared. Among equals
 * one is drawn, so that not all holders ask the same child; those that have received too little for long come first, so that nobody starves.
 *
 * Facts come in by methods. Of a child that does not answer nothing more is heard: it gets no further offers until it speaks.
 */
export class TurnRoster<Child> {
  readonly #options: TurnRosterOptions;
  readonly #children = new Map<Child, ChildState<Child>>();

  constructor(options: Partial<TurnRosterOptions> & Pick<TurnRosterOptions, 'random'>) {
    this.#options = { ...DEFAULT_TURN_ROSTER, ...options };
  }

  /** Children that follow a task here. */
  get followers(): number {
    let count = 0;
    for (const { tasks } of this.#children.values()) if (tasks.size > 0) count++;
    return count;
  }

  isFollowing(child: Child): boolean {
    return (this.#children.get(child)?.tasks.size ?? 0) > 0;
  }

  /** Somebody may be offered a turn, now or later. */
  get hasWishes(): boolean {
    for (const { tasks } of this.#children.values()) for (const isWanted of tasks.values()) if (isWanted) return true;
    return false;
  }

  /** A child receives so much at this moment. */
  levelIs(child: Child, level: IntakeLevel, nowMs: number): void {
    const state = this.#stateOf(child, nowMs);
    state.isSilent = false;
    if (state.level === level) return;
    state.level = level;
    state.levelSinceMs = nowMs;
  }

  /** A child follows a task. @param isWanted it wants something that is here. @returns false when it follows too many */
  follows(child: Child, taskId: string, isWanted: boolean, nowMs: number): boolean {
    const state = this.#stateOf(child, nowMs);
    if (!state.tasks.has(taskId) && state.tasks.size >= this.#options.maxTasks) return false;
    if (isWanted && state.tasks.get(taskId) !== true) state.isSilent = false;
    state.tasks.set(taskId, isWanted);
    return true;
  }

  /** A child follows a task no more. */
  unfollows(child: Child, taskId: string): void {
    this.#children.get(child)?.tasks.delete(taskId);
  }

  left(child: Child): void {
    this.#children.delete(child);
  }

  /** An offer is over. Who took it says by itself what it receives, where that has changed: it may want another one beside it. */
  settled(child: Child, isTaken: boolean, nowMs: number): void {
    const state = this.#children.get(child);
    if (state === undefined) return;
    state.isOffered = false;
    if (!isTaken) return;
    state.isSilent = false;
    state.levelSinceMs = nowMs;
  }

  /** Whom to offer a turn. To be settled before the child gets another one. */
  next(nowMs: number, holder: HolderState): RosterTurn<Child> | undefined {
    const isRested = nowMs - holder.restingSinceMs >= this.#options.restMs;
    let best: { state: ChildState<Child>; taskId: string; reason: TurnReason } | undefined;
    let bestRank = Infinity;
    let ties = 0;
    for (const state of this.#children.values()) {
      const rank = RANKS[state.level] + (nowMs - state.levelSinceMs >= this.#options.starvingMs ? 0 : 0.5);
      if (state.isOffered || state.isSilent || rank > bestRank) continue;
      const found = this.#reasonFor(state, holder, isRested);
      if (found === undefined) continue;
      // The k-th of equals replaces the one held so far with probability 1/k: holders that see the same children pick different ones.
      ties = rank === bestRank ? ties + 1 : 1;
      bestRank = rank;
      if (ties === 1 || this.#options.random() * ties < 1) best = { state, ...found };
    }
    if (best === undefined) return undefined;
    const { state, taskId, reason } = best;
    state.isOffered = state.isSilent = true;
    state.tasks.delete(taskId);
    state.tasks.set(taskId, true);
    return { child: state.child, taskId, reason };
  }

  #reasonFor(
    { level, tasks }: ChildState<Child>,
    { isFresh }: HolderState,
    isRested: boolean,
  ): { taskId: string; reason: TurnReason } | undefined {
    let other: string | undefined;
    // What nobody else has comes first: it is what everybody's next pieces are made of.
    for (const [taskId, isWanted] of tasks) {
      if (!isWanted) continue;
      if (isFresh(taskId)) return { taskId, reason: level === 'full' ? 'fresh' : 'turn' };
      other ??= taskId;
    }
    if (other === undefined || (level === 'full' && !isRested)) return undefined;
    return { taskId: other, reason: level === 'full' ? 'resting' : 'turn' };
  }

  #stateOf(child: Child, nowMs: number): ChildState<Child> {
    let state = this.#children.get(child);
    if (state === undefined) {
      state = { child, level: 'full', levelSinceMs: nowMs, tasks: new Map(), isOffered: false, isSilent: false };
      this.#children.set(child, state);
    }
    return state;
  }
}

const RANKS: Readonly<Record<IntakeLevel, number>> = { idle: 0, open: 1, full: 2 };
