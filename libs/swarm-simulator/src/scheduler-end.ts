import type { Decision, SwarmOptions } from '@d7y/swarm';
import { Swarm } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import type { Ground } from './ground.ts';
import type { Hosts } from './hosts.ts';
import type { LetterToScheduler, Mailbox } from './mailbox.ts';
import type { Members } from './members.ts';
import { AT_ORIGIN, DONE, IDLE } from './members.ts';
import { NONE } from './none.ts';
import type { Tally } from './outcome.ts';
import type { Settings } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';

const SWARM_TICK_MS = 100;

export interface SchedulerPorts {
  readonly swarmOptions: Partial<SwarmOptions>;
  /** Processor time so far, in ms; for the cost of the scheduler's decisions. */
  readonly cpuMs: () => number;
}

/** The real scheduler, as daemons reach it: what they tell it arrives later, and so does what it decides. */
export class SchedulerEnd {
  readonly #settings: Settings;
  readonly #ports: SchedulerPorts;
  readonly #random: () => number;
  readonly #isMesh: boolean;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #clock: Clock;
  readonly #mail: Mailbox;
  readonly #tally: Tally;
  #swarm: Swarm;
  #isUp = true;
  /** What an earlier scheduler decided is not obeyed. */
  #epoch = 0;

  constructor(ground: Ground, ports: SchedulerPorts) {
    this.#settings = ground.settings;
    this.#ports = ports;
    this.#random = ground.random;
    this.#isMesh = ground.isMesh;
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#clock = ground.clock;
    this.#mail = ground.mail;
    this.#tally = ground.tally;
    this.#swarm = this.#newSwarm();
  }

  /** Everybody's host is known before the first download. */
  begin(): void {
    for (let host = 0; host < this.#hosts.count; host++) this.#announce(host);
    this.#mail.post('swarmTick', 0, SWARM_TICK_MS);
  }

  /** Whether the one that is there now decided this. */
  isCurrent(epoch: number): boolean {
    return epoch === this.#epoch;
  }

  dies(): void {
    this.#isUp = false;
    this.#mail.post('schedulerStarts', 0, this.#settings.schedulerDownMs);
  }

  #newSwarm(): Swarm {
    this.#epoch++;
    return new Swarm(this.#ports.swarmOptions, this.#random, this.#clock.nowMs);
  }

  #announce(host: number): void {
    const isSeed = host >= this.#settings.peers;
    const id = `h${host}`;
    this.#ask(() => {
      if (this.#isMesh) this.#swarm.linkOpened(id, this.#clock.nowMs);
      return (
        this.#swarm.hostAnnounced(
          {
            id,
            kind: isSeed ? 'seed' : 'normal',
            ip: `10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`,
            port: 4000,
            idc: this.#settings.zones > 1 ? `zone${this.#hosts.zoneOf[host]}` : undefined,
            location: undefined,
            disableShared: this.#hosts.isLeech[host] === 1,
            announceIntervalMs: undefined,
            uploadBitsPerSecond: this.#hosts.rateOf[host] * 8000 * TICKS_PER_MS,
          },
          this.#clock.nowMs,
        ) ?? []
      );
    });
  }

  /** Lets the scheduler decide something, and sends out what it decided. */
  #ask(decide: () => Decision[]): void {
    const before = this.#ports.cpuMs();
    const decisions = decide();
    this.#tally.schedulerCpuMs += this.#ports.cpuMs() - before;
    for (const decision of decisions) this.#sendOut(decision);
  }

  #sendOut(decision: Decision): void {
    if (decision.kind === 'tickAt') {
      this.#mail.post('swarmReminder', 0, decision.atMs - this.#clock.nowMs, this.#epoch);
      return;
    }
    if (decision.kind === 'probeHost') {
      const host = Number(decision.hostId.slice(1));
      this.#mail.post('probed', host, 2 * this.#hosts.toSchedulerMs(host), this.#epoch);
      return;
    }
    const host =
      decision.kind === 'triggerSeed'
        ? Number(decision.seedHostId.slice(1))
        : this.#members.hostOf(Number(decision.peerId.slice(1)));
    this.#tally.schedulerMessages++;
    this.#mail.post('decision', host, this.#hosts.toSchedulerMs(host), this.#epoch, decision);
  }

  hear(kind: LetterToScheduler, member: number, number: number): void {
    const peerId = `p${member}`;
    const now = this.#clock.nowMs;
    if (!this.#isUp) {
      if (kind === 'swarmTick') this.#mail.post('swarmTick', 0, SWARM_TICK_MS);
      return;
    }
    if (kind !== 'swarmTick' && kind !== 'swarmReminder' && kind !== 'probed' && kind !== 'hostLost')
      this.#tally.schedulerMessages++;
    switch (kind) {
      case 'swarmTick':
        this.#ask(() => this.#swarm.tick(now));
        this.#mail.post('swarmTick', 0, SWARM_TICK_MS);
        return;
      case 'swarmReminder':
        if (number === this.#epoch) this.#ask(() => this.#swarm.tick(now));
        return;
      case 'probed':
        this.#ask(() => this.#swarm.hostProbed(`h${member}`, this.#hosts.isAlive[member] === 1, now));
        return;
      case 'link':
        this.#announce(member);
        return;
      case 'register':
        this.register(member);
        return;
      case 'started':
        this.#ask(() => this.#swarm.peerStarted(peerId, now));
        return;
      case 'atOrigin':
        this.#ask(() => this.#swarm.backToSourceStarted(peerId, now));
        return;
      case 'report':
        this.#members.isReporting[member] = 0;
        this.#report(member);
        return;
      case 'finished':
        this.#report(member);
        this.#ask(() =>
          this.#swarm.peerFinished(peerId, { fromOrigin: this.#members.originNext[member] !== NONE }, now),
        );
        return;
      case 'leaseAsked': {
        let isGranted = false;
        this.#ask(() => {
          isGranted = this.#swarm.leaseRequested(`h${this.#members.hostOf(member)}`, this.#members.taskId(member), now);
          return [];
        });
        this.#tally.schedulerMessages++;
        this.#mail.post(
          'leaseAnswered',
          member,
          this.#hosts.toSchedulerMs(this.#members.hostOf(member)),
          isGranted ? 1 : 0,
        );
        return;
      }
      case 'leaseReturned':
        this.#ask(() =>
          this.#swarm.leaseReturned(`h${this.#members.hostOf(member)}`, this.#members.taskId(member), now),
        );
        return;
      case 'reschedule':
        this.#ask(() => this.#swarm.rescheduleRequested(peerId, [], now));
        return;
      case 'parentFailed':
        this.#ask(() => this.#swarm.pieceFailed(peerId, `p${number}`, now));
        return;
      case 'hostLost':
        for (let task = 0; task < this.#settings.tasks; task++) {
          const lost = `p${task * this.#hosts.count + member}`;
          this.#ask(() => this.#swarm.streamLost(lost, now));
        }
        if (this.#isMesh) this.#ask(() => this.#swarm.linkLost(`h${member}`, now));
        return;
      default:
        kind satisfies never;
    }
  }

  register(member: number): void {
    this.#members.isRegistering[member] = 1;
    const { pieceBytes, rangeShare } = this.#settings;
    const host = this.#members.hostOf(member);
    const state = this.#members.state[member];
    const held: number[] = [];
    for (let entry = 0; entry < this.#members.logCount[member]; entry++)
      held.push(this.#members.loggedPiece(member, entry));
    this.#members.reported[member] = this.#members.logCount[member];
    this.#tally.registrations++;
    let range: { start: number; length: number } | undefined;
    if (rangeShare < 1 && host < this.#settings.peers)
      range = {
        start: this.#members.firstWanted[member] * pieceBytes,
        length: Math.round(rangeShare * this.#members.pieces) * pieceBytes,
      };
    this.#ask(() =>
      this.#swarm.peerRegistered(
        {
          hostId: `h${host}`,
          taskId: this.#members.taskId(member),
          peerId: `p${member}`,
          priority: 0,
          range,
          needBackToSource: state === AT_ORIGIN || host >= this.#settings.peers,
          metadataOnly: state === DONE,
          contentLength: this.#members.pieces * pieceBytes,
          pieceLength: pieceBytes,
          pieceCount: this.#members.pieces,
          heldPieces: held,
        },
        this.#clock.nowMs,
      ),
    );
  }

  /** Tells the scheduler of the pieces that came since it was told last; ours in one message, a stock daemon one by one. */
  #report(member: number): void {
    const peerId = `p${member}`;
    const from = this.#members.reported[member];
    const to = (this.#members.reported[member] = this.#members.logCount[member]);
    if (from === to) return;
    const pieces: number[] = [];
    const counts = new Map<number, number>();
    for (let entry = from; entry < to; entry++) {
      pieces.push(this.#members.loggedPiece(member, entry));
      const parent = this.#members.logParent[member * this.#members.pieces + entry];
      counts.set(parent, (counts.get(parent) ?? 0) + 1);
    }
    const deliveries = [...counts].map(([parent, count]) => ({
      parentId: parent < 0 ? undefined : `p${parent}`,
      pieces: count,
      bytes: count * this.#settings.pieceBytes,
      durationMs: (count * this.#settings.pieceBytes * 8000) / this.#settings.rateBitsPerSec,
    }));
    this.#ask(() => this.#swarm.piecesFinished(peerId, { pieces, deliveries }, this.#clock.nowMs));
  }

  starts(): void {
    this.#isUp = true;
    this.#swarm = this.#newSwarm();
    for (let host = 0; host < this.#hosts.count; host++) {
      if (this.#hosts.isAlive[host] === 0) continue;
      // Whose stream broke comes back at once, but not all in the same moment.
      const delayMs = this.#random() * 200 + this.#hosts.toSchedulerMs(host);
      this.#mail.post('link', host, delayMs);
      for (let task = 0; task < this.#settings.tasks; task++) {
        const member = task * this.#hosts.count + host;
        if (this.#members.state[member] === IDLE) continue;
        this.#mail.post('register', member, delayMs);
      }
    }
  }
}
