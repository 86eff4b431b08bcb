import type { Decision } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import { EventWheel } from './event-wheel.ts';
import type { Ground } from './ground.ts';
import type { Hosts } from './hosts.ts';
import type { Members } from './members.ts';
import { NONE } from './none.ts';
import { TICKS_PER_MS } from './ticks.ts';

/** What the scheduler hears, or finds that it is time for. */
export type LetterToScheduler =
  | 'register'
  | 'started'
  | 'atOrigin'
  | 'report'
  | 'finished'
  | 'reschedule'
  | 'parentFailed'
  | 'probed'
  | 'link'
  | 'swarmTick'
  | 'hostLost'
  | 'swarmReminder'
  | 'leaseAsked'
  | 'leaseReturned';

export type LetterKind =
  | LetterToScheduler
  | 'start'
  | 'decision'
  | 'revealed'
  | 'parentGone'
  | 'hostDies'
  | 'schedulerDies'
  | 'schedulerStarts'
  | 'originAnswers'
  | 'steeringTick'
  | 'leaseAnswered';

/** Something that was said, or will happen, and arrives. What member and number mean depends on the kind. */
export interface Letter {
  readonly kind: LetterKind;
  readonly member: number;
  readonly number: number;
  readonly decision: Decision | undefined;
}

const ROOM_AT_FIRST = 1024;

/** Letters on their way. */
export class Mailbox {
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #clock: Clock;
  readonly #events = new EventWheel(ROOM_AT_FIRST);
  readonly #letters: (Letter | undefined)[] = [];
  readonly #free: number[] = [];

  constructor({ hosts, members, clock }: Pick<Ground, 'hosts' | 'members' | 'clock'>) {
    this.#hosts = hosts;
    this.#members = members;
    this.#clock = clock;
  }

  post(kind: LetterKind, member: number, delayMs: number, number = 0, decision?: Decision): void {
    const place = this.#free.pop() ?? this.#letters.length;
    this.#letters[place] = { kind, member, number, decision };
    if (place >= ROOM_AT_FIRST) this.#events.grow(2 ** Math.ceil(Math.log2(place + 1)));
    this.#events.set(place, this.#clock.tick + delayMs * TICKS_PER_MS);
  }

  /** Posts something to the scheduler. */
  tell(kind: LetterKind, member: number, number = 0): void {
    this.post(kind, member, this.#hosts.toSchedulerMs(this.#members.hostOf(member)), number);
  }

  /** @returns the next letter that arrives now; undefined when there is none left */
  take(): Letter | undefined {
    const place = this.#events.take(this.#clock.tick);
    if (place === NONE) return undefined;
    const letter = this.#letters[place];
    this.#letters[place] = undefined;
    this.#free.push(place);
    return letter;
  }
}
