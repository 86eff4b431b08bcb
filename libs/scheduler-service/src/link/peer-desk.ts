// Who owns what: a desk belongs to the link of one daemon and owns the numbers of its peers. What becomes of them is the swarm's, which
// hears of them through the same reports as of peers that speak over AnnouncePeer.
import { swarm } from '@d7y/api';
import { piecesOf } from '@d7y/peer-protocol';
import type { Telemetry } from '@d7y/service-kit';
import { contextFromTraceparent } from '@d7y/service-kit';
import type { Context } from '@opentelemetry/api';
import { ConversationError, HostNotFoundError } from '../errors.ts';
import {
  heldTaskFacts,
  linkedSeedDownloadOf,
  sourceLengthOf,
  toLinkedFacts,
  toLinkedTaskRecord,
} from '../messages/linked-registration.ts';
import type { Records, SeedDownloadOf, TaskRecord } from '../messages/records.ts';
import { safeNumber } from '../messages/registration-facts.ts';
import type { PeerDescription, PeerReports } from '../scheduling/peer-reports.ts';
import { QuestionTrace } from '../scheduling/question-trace.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';
import { MAX_DOWNLOAD_LENGTH } from '../messages/download.ts';
import { LinkedPeer } from './linked-peer.ts';
import type { LinkedPeerOwner } from './linked-peer.ts';

/** Far more than a daemon downloads at once. */
const MAX_PEERS = 10_000;
const MAX_HELD_TASKS_PER_MESSAGE = 1_000;
const MAX_RESCHEDULED_PARENTS = 1_024;
const MAX_DELIVERIES = 1_024;

const NO_SOURCE = { application: '', url: '' };

/** What a registration over a link says to others. */
class LinkedDescription implements PeerDescription {
  readonly #source: swarm.TaskSource | undefined;
  readonly seedDownload: SeedDownloadOf | undefined;

  constructor(source: swarm.TaskSource | undefined) {
    this.#source = source;
    this.seedDownload = linkedSeedDownloadOf(source);
  }

  source(): { readonly application: string; readonly url: string } {
    return this.#source ?? NO_SOURCE;
  }

  task(): TaskRecord {
    return toLinkedTaskRecord(this.#source);
  }
}

/** What all desks of a scheduler work with. */
export interface PeerDeskParts {
  readonly driver: SwarmDriver;
  readonly reports: PeerReports;
  readonly records: Records;
  readonly telemetry: Telemetry;
}

/** What daemons say of their peers. */
const PEER_REQUESTS = [
  ...(['register', 'started', 'havePieces', 'pieceFailed', 'reschedule', 'finished', 'failed', 'leave'] as const),
  'inventory',
] as const;

export type PeerRequest = Extract<swarm.LinkRequest['request'], { case: (typeof PEER_REQUESTS)[number] }>;

const ARE_OF_PEERS: ReadonlySet<string | undefined> = new Set(PEER_REQUESTS);

export const isOfPeer = (request: swarm.LinkRequest['request']): request is PeerRequest =>
  ARE_OF_PEERS.has(request.case);

/** The downloads of one daemon, as it tells of them over its link. */
export class PeerDesk implements LinkedPeerOwner {
  readonly #parts: PeerDeskParts;
  readonly #hostId: string;
  readonly #onDue: (peer: LinkedPeer) => void;
  readonly #peers = new Map<number, LinkedPeer>();
  #isClosed = false;

  /** @param onDue is told who has something to hear */
  constructor(hostId: string, parts: PeerDeskParts, onDue: (peer: LinkedPeer) => void) {
    this.#hostId = hostId;
    this.#parts = parts;
    this.#onDue = onDue;
  }

  /** Peers that speak here at present. */
  get size(): number {
    return this.#peers.size;
  }

  /** @throws {ConversationError} what no daemon of ours says @throws {HostNotFoundError} its host has left */
  handle(request: PeerRequest): void {
    // A registration that waited for its turn while the link went away.
    if (this.#isClosed) return;
    if (request.case === 'register') return this.#register(request.value);
    if (request.case === 'inventory') return this.#takeStock(request.value.tasks);
    const linked = this.#peers.get(request.value.peerNumber);
    // What was said before the peer was turned down.
    if (linked?.peer === undefined) return;
    if (linked.peer.state === 'Leave') {
      linked.refuse('notFound', `peer ${linked.peerId} is not known here`);
      return;
    }
    this.#report(linked, linked.peer, request);
  }

  due(peer: LinkedPeer): void {
    if (!this.#isClosed) this.#onDue(peer);
  }

  over(peer: LinkedPeer): void {
    this.#peers.delete(peer.number);
    this.#parts.driver.detach(peer.peerId, peer);
  }

  /** The link is gone, and with it everybody who spoke over it. */
  close(): void {
    this.#isClosed = true;
    for (const peer of this.#peers.values()) this.#parts.reports.left(peer.peerId, peer, { isOver: false });
    this.#peers.clear();
  }

  #register(message: swarm.Register): void {
    const { driver, reports } = this.#parts;
    const { peerNumber, peerId, traceparent } = message;
    if (driver.swarm.host(this.#hostId) === undefined) throw new HostNotFoundError(this.#hostId);
    if (this.#peers.has(peerNumber)) throw new ConversationError(`register: number ${peerNumber} is in use`);
    const trace = traceparent === '' ? undefined : contextFromTraceparent(traceparent, undefined);
    const linked = new LinkedPeer(this, peerNumber, peerId, trace);
    if (this.#peers.size >= MAX_PEERS) {
      linked.refuse('resourceExhausted', 'the daemon downloads more at once than it may');
      return;
    }
    if (sourceLengthOf(message.source) > MAX_DOWNLOAD_LENGTH) {
      linked.refuse('failedPrecondition', `register.source: longer than ${MAX_DOWNLOAD_LENGTH} bytes`);
      return;
    }
    const facts = toLinkedFacts(this.#hostId, message);
    this.#peers.set(peerNumber, linked);
    this.#ask(linked);
    const question = trace === undefined ? undefined : this.#traceRegistration(linked, facts.taskId, trace);
    linked.peer = reports.registered(linked, facts, new LinkedDescription(message.source));
    question?.evaluated();
  }

  #report(
    linked: LinkedPeer,
    peer: NonNullable<LinkedPeer['peer']>,
    request: Exclude<PeerRequest, { case: 'register' | 'inventory' }>,
  ): void {
    const { reports, driver } = this.#parts;
    switch (request.case) {
      case 'started':
        if (request.value.fromOrigin) reports.startedAtOrigin(peer);
        else reports.started(peer);
        return;
      case 'havePieces':
        this.#havePieces(linked, peer, request.value);
        return;
      case 'pieceFailed': {
        const { parentNumber, parentId, pieceNumber } = request.value;
        reports.pieceFailed(peer, linked.parentIdOf(parentNumber) ?? parentId, pieceNumber);
        return;
      }
      case 'reschedule': {
        const { parentNumbers, parentIds } = request.value;
        if (parentNumbers.length + parentIds.length > MAX_RESCHEDULED_PARENTS)
          throw new ConversationError('reschedule: too many parents');
        this.#ask(linked);
        const { trace } = linked;
        const question = trace === undefined ? undefined : this.#traceQuestion(linked, 'reschedule', trace);
        const named = parentNumbers.flatMap((number) => linked.parentIdOf(number) ?? []);
        reports.rescheduled(peer, [...named, ...parentIds]);
        question?.evaluated();
        return;
      }
      case 'finished':
        if (request.value.pieces !== undefined) this.#havePieces(linked, peer, request.value);
        reports.finished(peer, request.value.fromOrigin);
        linked.noteEnd();
        return;
      case 'failed': {
        const { fromOrigin, reason, originStatus } = request.value;
        reports.failed(peer, { fromOrigin, description: reason, originStatus });
        linked.noteEnd();
        return;
      }
      case 'leave':
        this.over(linked);
        driver.tell((core, nowMs) => core.deletePeer(peer.id, nowMs));
        return;
      default:
        request satisfies never;
    }
  }

  #havePieces(
    linked: LinkedPeer,
    peer: NonNullable<LinkedPeer['peer']>,
    { pieces, deliveries }: Pick<swarm.HavePieces, 'pieces' | 'deliveries'>,
  ): void {
    if (deliveries.length > MAX_DELIVERIES) throw new ConversationError('have_pieces: too many deliveries');
    this.#parts.reports.piecesFinished(peer, {
      pieces: piecesOf(pieces),
      deliveries: deliveries.map(({ parentNumber, parentId, pieces: count, bytes, durationMs }) => {
        const named = linked.parentIdOf(parentNumber) ?? (parentId || undefined);
        return {
          parentId: named,
          pieces: count,
          bytes: safeNumber(bytes) ?? 0,
          durationMs: safeNumber(durationMs) ?? 0,
          traffic: named === undefined ? 'BACK_TO_SOURCE' : 'REMOTE_PEER',
        };
      }),
    });
  }

  /** Notes tasks that the daemon holds; those that are known to be there stay as they are. */
  #takeStock(tasks: readonly swarm.HeldTask[]): void {
    const { driver, records } = this.#parts;
    if (tasks.length > MAX_HELD_TASKS_PER_MESSAGE)
      throw new ConversationError('inventory: too many tasks in one message');
    const host = driver.swarm.host(this.#hostId);
    if (host === undefined) throw new HostNotFoundError(this.#hostId);
    const known = new Set<string>();
    for (const { task, state } of host.peers) if (state === 'Succeeded') known.add(task.id);
    for (const held of tasks) {
      if (known.has(held.taskId) || sourceLengthOf(held.source) > MAX_DOWNLOAD_LENGTH) continue;
      const facts = heldTaskFacts(this.#hostId, held);
      driver.tell((core, nowMs) => {
        const registered = core.peerRegistered(facts, nowMs);
        const peer = core.peer(facts.peerId);
        if (peer?.host !== host) return [];
        if (records.task(peer.task) === undefined) records.keepTask(peer.task, toLinkedTaskRecord(held.source));
        // Nobody is there to be told of the registration; what it means to others is.
        const others = registered.filter((decision) => !('peerId' in decision) || decision.peerId !== peer.id);
        return [...others, ...core.peerFinished(peer.id, { fromOrigin: false }, nowMs)];
      });
    }
  }

  #ask(linked: LinkedPeer): void {
    linked.askedAtMs = this.#parts.driver.now();
    linked.onAnswer = this.#onAnswer;
  }

  readonly #onAnswer = (askedAtMs: number): void => this.#parts.reports.answered(askedAtMs);

  /** Times the answer to a question of a peer that is traced. */
  #traceQuestion(
    linked: LinkedPeer,
    cause: 'register' | 'reschedule',
    trace: Context,
    then?: () => void,
  ): QuestionTrace {
    const question = new QuestionTrace(this.#parts.telemetry.tracer, cause, trace);
    linked.onAnswer = (askedAtMs, kind, parentCount) => {
      this.#onAnswer(askedAtMs);
      question.answered(kind, parentCount);
      then?.();
    };
    return question;
  }

  #traceRegistration(linked: LinkedPeer, taskId: string, trace: Context): QuestionTrace {
    const { tracer } = this.#parts.telemetry;
    const attributes = { 'd7y.task_id': taskId, 'd7y.peer_id': linked.peerId, 'd7y.host_id': this.#hostId };
    const registering = tracer.startSpan('register peer', { attributes }, trace);
    return this.#traceQuestion(linked, 'register', trace, () => registering.end());
  }
}
