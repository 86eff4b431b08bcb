// Who owns what: the ground owns the virtual clock and all that is in columns of numbers: hosts with their links, and one member per host and
// task, which is that host's download: its pieces, its neighbours, what is under way to it. Members know of each other only what messages told
// them: a piece that a parent got counts for its child only once the announcement has travelled. To save the events of those
// announcements, a child reads its parents' logs of (piece, time) as far as word can have reached it. The scheduler is the real one, behind
// latency. Here is the order of events, and what scenarios do to them.
import type { Decision } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import { Ground } from './ground.ts';
import type { Hosts } from './hosts.ts';
import type { Letter, Mailbox } from './mailbox.ts';
import { DONE, IDLE, WAITING } from './members.ts';
import type { Members } from './members.ts';
import { NONE } from './none.ts';
import type { Outcome, Tally } from './outcome.ts';
import { Parts } from './parts.ts';
import type { SchedulerPorts } from './scheduler-end.ts';
import type { Settings } from './settings.ts';
import { optimumMs } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';
import type { Transfers } from './transfers.ts';

/** The first peers start a second after hosts were announced. */
const FIRST_TICK = 1000 * TICKS_PER_MS;
const NEWS = { isNews: true };

/** One run of one swarm. */
export class Simulation {
  readonly #settings: Settings;
  readonly #ground: Ground;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #transfers: Transfers;
  readonly #clock: Clock;
  readonly #mail: Mailbox;
  readonly #tally: Tally;
  readonly #parts: Parts;

  constructor(settings: Settings, ports: SchedulerPorts) {
    this.#settings = settings;
    const ground = (this.#ground = new Ground(settings));
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#transfers = ground.transfers;
    this.#clock = ground.clock;
    this.#mail = ground.mail;
    this.#tally = ground.tally;
    this.#parts = new Parts(ground, ports);
  }

  run(): Outcome {
    const settings = this.#settings;
    const bound = optimumMs(settings);
    this.#parts.scheduler.begin();
    this.#ground.draw(settings.warmShare, (host) => this.#warm(host));
    for (let host = 0; host < settings.peers; host++) {
      const startMs = FIRST_TICK / TICKS_PER_MS + this.#ground.random() * settings.startWithinMs;
      for (let task = 0; task < settings.tasks; task++) {
        const member = task * this.#hosts.count + host;
        if (this.#members.state[member] === DONE) continue;
        this.#members.want(member);
        this.#tally.unfinished++;
        this.#members.startTick[member] = Math.round(startMs * TICKS_PER_MS);
        this.#mail.post('start', member, startMs);
      }
    }
    const firstMs = FIRST_TICK / TICKS_PER_MS;
    if (settings.seedDeathAt !== undefined)
      this.#mail.post('hostDies', settings.peers, firstMs + settings.seedDeathAt * bound);
    if (settings.schedulerRestartAt !== undefined)
      this.#mail.post('schedulerDies', 0, firstMs + settings.schedulerRestartAt * bound);
    this.#ground.draw(settings.deathShare, (host) => {
      this.#hosts.isNormal[host] = 0;
      this.#mail.post('hostDies', host, firstMs + settings.startWithinMs + this.#ground.random() * bound);
    });
    const lastTick = FIRST_TICK + TICKS_PER_MS * (settings.startWithinMs + settings.seedDelayMs + 60_000 + 20 * bound);
    const useEvery = Math.ceil((bound * TICKS_PER_MS) / 20);
    for (this.#clock.tick = 0; this.#tally.unfinished > 0 && this.#clock.tick < lastTick; this.#clock.tick++) {
      this.#step();
      if (this.#clock.tick >= FIRST_TICK && (this.#clock.tick - FIRST_TICK) % useEvery === 0) this.#noteUse();
    }
    return this.#outcome(bound);
  }

  #step(): void {
    const { tick, wakes, turns } = this.#clock;
    const { events } = this.#transfers;
    for (let letter = this.#mail.take(); letter !== undefined; letter = this.#mail.take()) this.#read(letter);
    for (let transfer = events.take(tick); transfer !== NONE; transfer = events.take(tick))
      this.#parts.sending.move(transfer);
    for (let member = wakes.take(tick); member !== NONE; member = wakes.take(tick))
      this.#parts.choosing.choose(member, NEWS);
    for (let host = turns.take(tick); host !== NONE; host = turns.take(tick)) this.#parts.sending.serveNext(host);
  }

  #noteUse(): void {
    let sum = 0;
    let capacity = 0;
    for (let host = 0; host < this.#hosts.count; host++) {
      sum += this.#ground.shares.uploadRate(host);
      capacity += this.#hosts.rateOf[host];
    }
    this.#tally.uplinkUse.push(Math.round((sum / capacity) * 1000) / 1000);
  }

  #outcome(bound: number): Outcome {
    const { peers, tasks, scenario } = this.#settings;
    const hostMs = new Float64Array(peers);
    for (let host = 0; host < peers; host++) {
      let last = 0;
      for (let task = 0; task < tasks; task++)
        last = Math.max(last, this.#members.doneTick[task * this.#hosts.count + host]);
      const from =
        scenario === 'rolling'
          ? this.#members.startTick[host]
          : FIRST_TICK + (scenario === 'assembled' ? this.#settings.seedDelayMs * TICKS_PER_MS : 0);
      hostMs[host] = Math.max(last - from, 0) / TICKS_PER_MS;
    }
    return {
      optimumMs: bound,
      hostMs,
      isNormal: this.#hosts.isNormal.slice(0, peers),
      originBytes: this.#tally.originBytes,
      crossZoneBytes: this.#tally.crossZoneBytes,
      piecesDelivered: this.#tally.piecesDelivered,
      registrations: this.#tally.registrations,
      schedulerMessages: this.#tally.schedulerMessages,
      schedulerCpuMs: this.#tally.schedulerCpuMs,
      hedges: this.#tally.hedges,
      uplinkUse: this.#tally.uplinkUse,
    };
  }

  /** Holds everything, and said so long ago. */
  #warm(host: number): void {
    for (let task = 0; task < this.#settings.tasks; task++) {
      const member = task * this.#hosts.count + host;
      for (let piece = 0; piece < this.#members.pieces; piece++) this.#members.keep(member, piece, NONE);
      this.#members.state[member] = DONE;
      this.#members.doneTick[member] = 0;
      this.#members.reported[member] = this.#members.logCount[member];
      this.#parts.scheduler.register(member);
    }
  }

  #read({ kind, member, number, decision }: Letter): void {
    switch (kind) {
      case 'start':
        this.#members.state[member] = WAITING;
        this.#mail.tell('register', member);
        return;
      case 'decision':
        if (decision !== undefined && this.#parts.scheduler.isCurrent(number) && this.#hosts.isAlive[member] === 1)
          this.#obey(decision);
        return;
      case 'originAnswers':
        if (this.#hosts.isAlive[this.#members.hostOf(member)] === 1) this.#parts.origin.fetchFromOrigin(member);
        return;
      case 'leaseAnswered':
        if (number === 1) this.#parts.origin.leaseGranted(member);
        return;
      case 'steeringTick':
        this.#parts.origin.steerOn(member);
        return;
      case 'revealed':
        this.#parts.hearsay.learnRevealed(member, Math.floor(number / 65536), number % 65536);
        return;
      case 'parentGone':
        this.#parts.parents.parentGone(member, number);
        return;
      case 'hostDies':
        this.#parts.deaths.hostDies(member);
        return;
      case 'schedulerDies':
        this.#parts.scheduler.dies();
        return;
      case 'schedulerStarts':
        this.#parts.scheduler.starts();
        return;
      default:
        this.#parts.scheduler.hear(kind, member, number);
        return;
    }
  }

  #obey(decision: Decision): void {
    switch (decision.kind) {
      case 'triggerSeed': {
        const host = Number(decision.seedHostId.slice(1));
        const member = Number(decision.taskId.slice(1)) * this.#hosts.count + host;
        if (this.#members.state[member] !== IDLE) return;
        this.#members.state[member] = WAITING;
        for (let piece = 0; piece < this.#members.pieces; piece++) this.#members.wish(member, piece);
        this.#members.missing[member] = this.#members.pieces;
        this.#mail.tell('register', member);
        return;
      }
      case 'grantOrigin':
        this.#parts.origin.goToOrigin(Number(decision.peerId.slice(1)));
        return;
      case 'answerMetadataOnly':
        this.#mail.tell('started', Number(decision.peerId.slice(1)));
        this.#mail.tell('finished', Number(decision.peerId.slice(1)));
        return;
      case 'tellHotPieces':
        if (this.#settings.daemon.hotPieces)
          this.#members.hotPieces.set(Number(decision.peerId.slice(1)), decision.pieces);
        return;
      case 'offerParents':
        this.#parts.parents.offered(Number(decision.peerId.slice(1)), decision.parents);
        return;
      default:
        return;
    }
  }
}
