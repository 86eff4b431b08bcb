import { Steering } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import type { Edges } from './edges.ts';
import { SLOTS } from './edges.ts';
import type { Ground } from './ground.ts';
import type { HostLinks } from './host-links.ts';
import type { Hosts } from './hosts.ts';
import type { LinkShares } from './link-shares.ts';
import type { Mailbox } from './mailbox.ts';
import type { Members } from './members.ts';
import { AT_ORIGIN, DONE, FETCHING, FOR_WHAT_IS_LATE, FOR_WHAT_NOBODY_HAS } from './members.ts';
import { NONE } from './none.ts';
import type { Parts } from './parts.ts';
import type { Settings } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';
import type { Transfers } from './transfers.ts';
import { SENDING } from './transfers.ts';

const STEERING_TICK_MS = 250;
/** The scheduler is asked for leave to fetch from the origin when no piece came for so long, and again while it refuses. */
const LATE_MS = 5_000;
const LEASE_RETRY_MS = 1_000;

/** Who fetches from the origin: seeds, who was sent there, and who has a lease for what its parents do not bring. */
export class OriginFetching {
  readonly #settings: Settings;
  readonly #isMesh: boolean;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #edges: Edges;
  readonly #transfers: Transfers;
  readonly #links: HostLinks;
  readonly #shares: LinkShares;
  readonly #clock: Clock;
  readonly #mail: Mailbox;
  readonly #parts: Parts;

  constructor(ground: Ground, parts: Parts) {
    this.#settings = ground.settings;
    this.#isMesh = ground.isMesh;
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#edges = ground.edges;
    this.#transfers = ground.transfers;
    this.#links = ground.links;
    this.#shares = ground.shares;
    this.#clock = ground.clock;
    this.#mail = ground.mail;
    this.#parts = parts;
  }

  goToOrigin(member: number): void {
    if (this.#members.state[member] === DONE) return;
    if (this.#members.state[member] === AT_ORIGIN) return this.#mail.tell('atOrigin', member);
    if (this.#isMesh && this.#members.state[member] === FETCHING) return this.#rescue(member);
    this.#members.state[member] = AT_ORIGIN;
    this.#members.originNext[member] = 0;
    for (let slot = 0; slot < SLOTS; slot++) this.#parts.parents.leave(member, slot);
    this.steer(member);
    this.#mail.tell('atOrigin', member);
    const delayMs = this.#members.hostOf(member) >= this.#settings.peers ? this.#settings.seedDelayMs : 0;
    this.#mail.post('originAnswers', member, delayMs + 2 * this.#settings.latencyMs);
  }

  /** Neighbours go on bringing what they have; the origin is asked for what none of them has. */
  #rescue(member: number): void {
    this.#members.hasLease[member] = FOR_WHAT_NOBODY_HAS;
    this.#members.originNext[member] = 0;
    this.steer(member);
    this.#mail.tell('atOrigin', member);
    this.#mail.post('originAnswers', member, 2 * this.#settings.latencyMs);
  }

  /** From now on each piece that nobody else has is told to one child before any is told twice. */
  steer(member: number): void {
    if (!this.#isMesh || this.#members.steering[member] !== undefined) return;
    const steering = new Steering<number>({ pieceCount: this.#members.pieces });
    this.#members.steering[member] = steering;
    this.#members.isSteered[member] = 1;
    this.#members.toldEdges.set(member, new Set());
    for (let entry = 0; entry < this.#members.logCount[member]; entry++)
      steering.pieceHeld(this.#members.loggedPiece(member, entry), this.#clock.nowMs, { isElsewhere: true });
    for (const edge of this.#edges.children.of(member))
      this.#parts.hearsay.reveal(member, steering.childJoined(edge, this.#clock.nowMs, this.#members.interestOf(edge)));
    this.#mail.post('steeringTick', member, STEERING_TICK_MS);
  }

  /** One stream, piece after piece; no further ahead of what was sent than the rules say. */
  fetchFromOrigin(member: number): void {
    const lease = this.#members.hasLease[member];
    if (this.#members.state[member] !== AT_ORIGIN && lease === 0) return;
    const transfer = this.#transfers.originLane(member);
    if (transfer === NONE) return;
    const picker = lease === FOR_WHAT_NOBODY_HAS ? this.#members.pickers[member] : undefined;
    let piece = this.#members.originNext[member];
    while (
      piece < this.#members.pieces &&
      (!this.#members.isWanted(member, piece) || (picker?.holdersOf(piece) ?? 0) > 0)
    )
      piece++;
    this.#members.originNext[member] = piece;
    if (piece === this.#members.pieces) {
      if (lease === FOR_WHAT_IS_LATE) this.#mail.tell('leaseReturned', member);
      this.#members.hasLease[member] = 0;
      return;
    }
    const steering = this.#members.steering[member];
    // Who fetches for itself does not wait for others.
    if (steering !== undefined && !steering.isDone && this.#members.hostOf(member) >= this.#settings.peers) {
      const unsent = this.#members.logCount[member] - steering.spreadCount;
      if (unsent >= this.#settings.daemon.originLookAhead && this.#edges.children.of(member).length > 0) return;
    }
    this.#members.unwish(member, piece);
    this.#transfers.phase[transfer] = SENDING;
    this.#transfers.child[transfer] = member;
    this.#transfers.parent[transfer] = NONE;
    this.#transfers.piece[transfer] = piece;
    this.#shares.start(
      transfer,
      this.#hosts.count,
      this.#members.hostOf(member),
      this.#settings.pieceBytes,
      this.#clock.tick,
    );
  }

  /** Asks for leave to fetch from the origin when parents have brought nothing for long. @returns when that will be */
  considerOrigin(member: number): number {
    if (!this.#isMesh || this.#members.outstanding[member] > 0 || this.#members.hasLease[member] > 0) return Infinity;
    const dueTick = Math.max(
      this.#members.lastPieceTick[member] + LATE_MS * TICKS_PER_MS,
      this.#members.leaseDueTick[member],
    );
    if (this.#clock.tick < dueTick) return dueTick;
    this.#members.leaseDueTick[member] = this.#clock.tick + LEASE_RETRY_MS * TICKS_PER_MS;
    this.#mail.tell('leaseAsked', member);
    return this.#members.leaseDueTick[member];
  }

  /** Leave to fetch what is late. */
  leaseGranted(member: number): void {
    if (this.#members.state[member] !== FETCHING || this.#members.hasLease[member] !== 0) return;
    this.#members.hasLease[member] = FOR_WHAT_IS_LATE;
    this.#members.originNext[member] = 0;
    this.steer(member);
    this.#mail.post('originAnswers', member, 2 * this.#settings.latencyMs);
  }

  /** It is time to look whether children let lie what they were told of. */
  steerOn(member: number): void {
    const steering = this.#members.steering[member];
    if (steering === undefined || this.#members.isSteered[member] === 0) return;
    // Children that were told nothing are served by others, as long as this one has enough to do.
    if (this.#links.hasTurn(this.#members.hostOf(member), this.#clock.tick))
      this.#parts.hearsay.reveal(member, steering.tick(this.#clock.nowMs));
    this.#mail.post('steeringTick', member, STEERING_TICK_MS);
  }
}
