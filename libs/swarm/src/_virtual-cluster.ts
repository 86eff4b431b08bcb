import { PieceSet } from '@d7y/piece';
import { seededRandom } from './_seeded-random.ts';
import type { Decision } from './decision.ts';
import type { HostFacts } from './host.ts';
import type { Priority } from './peer.ts';
import { choosePiece } from './_piece-selection.ts';
import { Swarm } from './swarm.ts';
import type { SwarmOptions } from './swarm-options.ts';

const PIECES = 20;
const PIECE_MS = 50;
const LATENCY_MS = 2;

/** A daemon with one download. It knows only what the swarm tells it, and what its parents have. */
export interface VirtualDaemon {
  readonly facts: HostFacts;
  readonly isOwn: boolean;
  isAlive: boolean;
  peerId: string | undefined;
  priority: Priority;
  isAtOrigin: boolean;
  isDone: boolean;
  refusal: string | undefined;
  parents: readonly string[];
  readonly pieces: PieceSet;
  /** Requests that are owed an answer, and answers that came. */
  owed: number;
  readonly answers: Decision[];
  askedAtMs: number;
  readonly waitsMs: number[];
}

/** Daemons, their swarm, and a clock that only moves when told to. */
export class VirtualCluster {
  nowMs = 0;
  swarm: Swarm;
  readonly daemons = new Map<string, VirtualDaemon>();
  /** Pieces fetched from the origin, all daemons together. */
  originPieces = 0;
  readonly grants: string[] = [];
  readonly triggers: string[] = [];
  /** Called after every decision, for what must always hold. */
  check: (decision: Decision) => void = () => undefined;
  readonly #options: Partial<SwarmOptions>;
  readonly #random: () => number;
  readonly #agenda: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;
  #attempts = 0;

  constructor(options: Partial<SwarmOptions> = {}, seed = 1) {
    this.#options = { settleMs: 0, ...options };
    this.#random = seededRandom(seed);
    this.swarm = new Swarm(this.#options, this.#random, 0);
    this.#every(100, () => this.carryOut(this.swarm.tick(this.nowMs)));
  }

  addHost(name: string, more: Partial<HostFacts> & { isOwn?: boolean; priority?: Priority } = {}): VirtualDaemon {
    const { isOwn = true, priority = 0, ...facts } = more;
    const daemon: VirtualDaemon = {
      facts: {
        id: name,
        kind: 'normal',
        ip: name,
        port: 4000,
        idc: undefined,
        location: undefined,
        disableShared: false,
        announceIntervalMs: 30_000,
        ...facts,
      },
      isOwn,
      isAlive: true,
      peerId: undefined,
      priority,
      isAtOrigin: false,
      isDone: false,
      refusal: undefined,
      parents: [],
      pieces: new PieceSet(),
      owed: 0,
      answers: [],
      askedAtMs: 0,
      waitsMs: [],
    };
    this.daemons.set(name, daemon);
    this.announce(daemon);
    return daemon;
  }

  announce(daemon: VirtualDaemon): void {
    if (daemon.isOwn) this.swarm.hostRecognised(daemon.facts.id);
    this.carryOut(this.swarm.hostAnnounced(daemon.facts, this.nowMs) ?? []);
  }

  /** Starts, or after a restart of the scheduler continues, the daemon's download. */
  pull(daemon: VirtualDaemon, more: { needBackToSource?: boolean; peerId?: string } = {}): void {
    daemon.peerId = more.peerId ?? `${daemon.facts.id}-${this.#attempts++}`;
    this.#asks(daemon);
    this.carryOut(
      this.swarm.peerRegistered(
        {
          hostId: daemon.facts.id,
          taskId: 'task',
          peerId: daemon.peerId,
          priority: daemon.priority,
          range: undefined,
          needBackToSource: more.needBackToSource ?? false,
          metadataOnly: daemon.isDone,
          contentLength: PIECES * 4,
          pieceLength: 4,
          pieceCount: PIECES,
        },
        this.nowMs,
      ),
    );
  }

  kill(daemon: VirtualDaemon): void {
    daemon.isAlive = false;
    if (daemon.peerId !== undefined) this.carryOut(this.swarm.streamLost(daemon.peerId, this.nowMs));
  }

  /** A scheduler without memory takes over; daemons announce themselves and register again in the order given. */
  restartScheduler(): void {
    this.swarm = new Swarm(this.#options, this.#random, this.nowMs);
    for (const daemon of this.daemons.values()) if (daemon.isAlive) this.announce(daemon);
    for (const daemon of this.daemons.values()) {
      if (!daemon.isAlive || daemon.peerId === undefined) continue;
      daemon.owed = 0;
      this.pull(daemon, { peerId: daemon.peerId, needBackToSource: daemon.isAtOrigin });
    }
  }

  /** Lets virtual time pass. */
  run(forMs: number): void {
    const untilMs = this.nowMs + forMs;
    for (;;) {
      this.#agenda.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const next = this.#agenda[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#agenda.shift();
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = untilMs;
  }

  carryOut(decisions: readonly Decision[]): void {
    for (const decision of decisions) {
      this.check(decision);
      this.#after(LATENCY_MS, () => this.#obey(decision));
    }
  }

  #obey(decision: Decision): void {
    if (decision.kind === 'probeHost') {
      const daemon = this.daemons.get(decision.hostId);
      this.carryOut(this.swarm.hostProbed(decision.hostId, daemon?.isAlive === true, this.nowMs));
      return;
    }
    if (decision.kind === 'triggerSeed') {
      this.triggers.push(decision.seedHostId);
      const seed = this.daemons.get(decision.seedHostId);
      if (seed?.isAlive === true) this.pull(seed, { needBackToSource: true });
      else this.carryOut(this.swarm.seedTriggerFailed(decision.taskId, decision.seedHostId, this.nowMs));
      return;
    }
    if (decision.kind === 'tickAt') {
      this.#after(decision.atMs - this.nowMs, () => this.carryOut(this.swarm.tick(this.nowMs)));
      return;
    }
    const daemon = [...this.daemons.values()].find(({ peerId }) => peerId === decision.peerId);
    if (daemon?.isAlive !== true) return;
    this.#answered(daemon, decision);
    const { peerId } = decision;
    if (decision.kind === 'refuse') daemon.refusal = decision.code;
    if (decision.kind === 'answerMetadataOnly') {
      this.carryOut(this.swarm.peerStarted(peerId, this.nowMs));
      this.carryOut(this.swarm.peerFinished(peerId, { fromOrigin: false }, this.nowMs));
    }
    if (decision.kind === 'offerParents') {
      daemon.parents = decision.parents.map((parent) => parent.peerId);
      this.carryOut(this.swarm.peerStarted(peerId, this.nowMs));
      this.#after(PIECE_MS, () => this.#fetchFromParents(daemon, peerId));
    }
    if (decision.kind === 'grantOrigin') {
      this.grants.push(daemon.facts.id);
      if (daemon.isAtOrigin) return;
      daemon.isAtOrigin = true;
      this.carryOut(this.swarm.backToSourceStarted(peerId, this.nowMs));
      this.#after(PIECE_MS, () => this.#fetchFromOrigin(daemon, peerId));
    }
  }

  #fetchFromOrigin(daemon: VirtualDaemon, peerId: string): void {
    if (!daemon.isAlive || daemon.isDone || daemon.peerId !== peerId) return;
    const missing = daemon.pieces.firstMissing();
    if (missing >= PIECES) {
      daemon.isDone = true;
      daemon.isAtOrigin = false;
      this.carryOut(this.swarm.peerFinished(peerId, { fromOrigin: true }, this.nowMs));
      return;
    }
    this.originPieces++;
    daemon.pieces.add(missing);
    this.carryOut(this.swarm.pieceFinished(peerId, missing, undefined, this.nowMs));
    this.#after(PIECE_MS, () => this.#fetchFromOrigin(daemon, peerId));
  }

  #fetchFromParents(daemon: VirtualDaemon, peerId: string): void {
    if (!daemon.isAlive || daemon.isDone || daemon.isAtOrigin || daemon.peerId !== peerId || daemon.owed > 0) return;
    if (daemon.pieces.size === PIECES) {
      daemon.isDone = true;
      this.carryOut(this.swarm.peerFinished(peerId, { fromOrigin: false }, this.nowMs));
      return;
    }
    const alive = daemon.parents.flatMap((parentId) => {
      const parent = [...this.daemons.values()].find((other) => other.peerId === parentId);
      return parent?.isAlive === true ? [{ id: parentId, pieces: parent.pieces, inFlight: 0, weight: 1, parent }] : [];
    });
    const wanted = new PieceSet();
    for (let piece = 0; piece < PIECES; piece++) if (!daemon.pieces.has(piece)) wanted.add(piece);
    const choice = choosePiece({ wanted, parents: alive, maxPerParent: 1, random: this.#random });
    if (choice !== undefined) {
      daemon.pieces.add(choice.pieceNumber);
      this.carryOut(this.swarm.pieceFinished(peerId, choice.pieceNumber, choice.parentId, this.nowMs));
    } else if (!alive.some(({ parent }) => parent.isAtOrigin || parent.isDone)) {
      // Nobody left who will ever have the rest.
      const exhausted = daemon.parents.filter((id) => !alive.some((parent) => parent.id === id));
      if (exhausted.length > 0 || alive.every(({ parent }) => parent.parents.length === 0)) {
        this.#asks(daemon);
        this.carryOut(
          this.swarm.rescheduleRequested(peerId, exhausted.length > 0 ? exhausted : daemon.parents, this.nowMs),
        );
        return;
      }
    }
    this.#after(PIECE_MS, () => this.#fetchFromParents(daemon, peerId));
  }

  #asks(daemon: VirtualDaemon): void {
    daemon.owed++;
    daemon.askedAtMs = this.nowMs;
  }

  #answered(daemon: VirtualDaemon, decision: Decision): void {
    daemon.answers.push(decision);
    if (daemon.owed === 0 && !daemon.isOwn) throw new Error(`${daemon.facts.id} was told ${decision.kind} unasked`);
    if (daemon.owed > 0) daemon.waitsMs.push(this.nowMs - daemon.askedAtMs);
    daemon.owed = 0;
  }

  #every(intervalMs: number, run: () => void): void {
    this.#after(intervalMs, () => {
      run();
      this.#every(intervalMs, run);
    });
  }

  #after(delayMs: number, run: () => void): void {
    this.#agenda.push({ atMs: this.nowMs + delayMs, order: this.#order++, run });
  }
}

export const PIECES_PER_TASK = PIECES;
