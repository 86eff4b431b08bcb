import type { ServiceImpl } from '@connectrpc/connect';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { common } from '@d7y/api';
import type { scheduler } from '@d7y/api';
import type { Logger, Telemetry } from '@d7y/service-kit';
import { untilAborted } from '@d7y/service-kit';
import type { PeerView } from '@d7y/swarm';
import { context } from '@opentelemetry/api';
import type { Access, CallContext } from '../access/access.ts';
import type { ApplicationPriorities } from '../dynconfig/application-priorities.ts';
import { ConversationError, PeerNotFoundError } from '../errors.ts';
import { toSeedDownload, toTaskRecord } from '../messages/download.ts';
import { DEFAULT_CONCURRENT_PIECES } from '../messages/message-writer.ts';
import type { Records } from '../messages/records.ts';
import { safeNumber, toRegistrationFacts } from '../messages/registration-facts.ts';
import { peerLabels, sizeLevelOf, trafficLabel } from '../metrics.ts';
import type { SchedulerMetrics } from '../metrics.ts';
import { Conversation } from '../scheduling/conversation.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';

type Request = scheduler.AnnouncePeerRequest;

export interface AnnouncePeerContext {
  readonly driver: SwarmDriver;
  readonly records: Records;
  readonly metrics: SchedulerMetrics;
  readonly telemetry: Telemetry;
  readonly logger: Logger;
  readonly access: Access;
  /** What the cluster wants of applications' downloads at this moment. */
  readonly priorities: () => ApplicationPriorities;
}

/** One download of one peer: its requests are handled in the order in which they come, its answers sent as they are decided. */
export const announcePeer = (parts: AnnouncePeerContext) =>
  ({
    async *announcePeer(requests, call) {
      const { signal } = call;
      const { metrics } = parts;
      const handler = new PeerRequests(parts, call);
      metrics.announcePeer.attempt();
      metrics.openStreams.inc();
      const reading = handler.read(untilAborted(requests, signal));
      try {
        yield* untilAborted(handler.conversation.answers, signal);
        // Cut off is not ended: a peer that is told so tries elsewhere.
        signal.throwIfAborted();
      } catch (error) {
        metrics.announcePeer.failure();
        throw error;
      } finally {
        metrics.openStreams.dec();
        handler.leave();
        // The reader ends with the signal; whatever it still throws has its answer already.
        reading.catch(() => undefined);
      }
    },
  }) satisfies Partial<ServiceImpl<typeof scheduler.Scheduler>>;

/** Reads one stream. Knows its peer from the registration on. */
class PeerRequests {
  readonly conversation: Conversation;
  readonly #parts: AnnouncePeerContext;
  readonly #call: CallContext;
  #peer: PeerView | undefined;
  #ids: { hostId: string; taskId: string; peerId: string } | undefined;
  /** The last answer of the origin to this peer, until its download is declared failed. */
  #originStatus: number | undefined;
  #isOver = false;

  constructor(parts: AnnouncePeerContext, call: CallContext) {
    this.#parts = parts;
    this.#call = call;
    this.conversation = new Conversation(context.active());
  }

  /** Handles requests until the peer has said its last word, the stream ends, or one of them is wrong. */
  async read(requests: AsyncIterable<Request>): Promise<void> {
    try {
      for await (const request of requests) {
        this.#handle(request);
        if (this.#isOver) break;
      }
      this.conversation.end();
    } catch (error) {
      this.conversation.fail(error);
    }
  }

  /** The stream is gone. Without a last word before, the peer counts as lost. */
  leave(): void {
    const { driver } = this.#parts;
    const ids = this.#ids;
    this.conversation.end();
    if (ids === undefined || !driver.detach(ids.peerId, this.conversation) || this.#isOver) return;
    driver.tell((swarm, nowMs) => swarm.streamLost(ids.peerId, nowMs));
  }

  #handle({ hostId, taskId, peerId, request }: Request): void {
    if (request.case === undefined) throw new ConversationError('request: exactly one member must be set');
    if (request.case === 'registerPeerRequest') {
      if (request.value.download === undefined) throw new ConversationError('register_peer_request.download: missing');
      this.#register({ hostId, taskId, peerId }, request.value.download);
      return;
    }
    const ids = this.#ids;
    if (ids === undefined) throw new PeerNotFoundError(peerId);
    if (ids.peerId !== peerId || ids.taskId !== taskId || ids.hostId !== hostId) {
      throw new ConversationError(`the stream of peer ${ids.peerId} cannot speak for ${peerId}`);
    }
    this.#report(peerId, request);
  }

  #register(ids: { hostId: string; taskId: string; peerId: string }, download: common.Download): void {
    const { driver, records, metrics, telemetry, priorities, access } = this.#parts;
    access.checkHost(this.#call, ids.hostId);
    if (this.#ids !== undefined)
      throw new ConversationError(`peer ${this.#ids.peerId} has registered on this stream already`);
    this.#ids = ids;
    driver.attach(ids.peerId, this.conversation);
    const span = telemetry.tracer.startSpan(
      'register peer',
      { attributes: { 'd7y.task_id': ids.taskId, 'd7y.peer_id': ids.peerId, 'd7y.host_id': ids.hostId } },
      this.conversation.trace,
    );
    this.#openQuestion('register', () => span.end());
    // The records must be there before decisions are carried out: candidates and seed triggers are made from them.
    driver.tell((swarm, nowMs) => {
      const facts = toRegistrationFacts(ids, download);
      const priority = priorities().of(facts.priority, download.application, download.url);
      const decisions = swarm.peerRegistered({ ...facts, priority }, nowMs);
      const peer = swarm.peer(ids.peerId);
      if (peer?.host.id === ids.hostId && peer.task.id === ids.taskId) {
        this.#peer = peer;
        const concurrentPieceCount = download.concurrentPieceCount ?? DEFAULT_CONCURRENT_PIECES;
        records.keepPeer(peer, { concurrentPieceCount, seedDownload: toSeedDownload(download) });
        if (records.task(peer.task) === undefined) records.keepTask(peer.task, toTaskRecord(download));
        metrics.registerPeer.attempt(peerLabels(peer));
      }
      return decisions;
    });
  }

  #report(peerId: string, request: Exclude<Request['request'], { case: undefined | 'registerPeerRequest' }>): void {
    const { driver, metrics, logger } = this.#parts;
    const peer = this.#peer;
    if (peer === undefined || driver.swarm.peer(peerId) !== peer) throw new PeerNotFoundError(peerId);
    const labels = peerLabels(peer);
    switch (request.case) {
      case 'downloadPeerStartedRequest':
        metrics.peerStarted.attempt(labels);
        driver.tell((swarm, nowMs) => swarm.peerStarted(peerId, nowMs));
        return;
      case 'downloadPeerBackToSourceStartedRequest':
        metrics.backToSourceStarted.attempt(labels);
        driver.tell((swarm, nowMs) => swarm.backToSourceStarted(peerId, nowMs));
        return;
      case 'reschedulePeerRequest': {
        this.#openQuestion('reschedule');
        const exhausted = request.value.candidateParents.map(({ id }) => id);
        driver.tell((swarm, nowMs) => swarm.rescheduleRequested(peerId, exhausted, nowMs));
        return;
      }
      case 'downloadPeerFinishedRequest':
        this.#finish(peer, false);
        return;
      case 'downloadPeerBackToSourceFinishedRequest':
        this.#finish(peer, true);
        return;
      case 'downloadPeerFailedRequest':
        this.#fail(peer, false, request.value.description);
        return;
      case 'downloadPeerBackToSourceFailedRequest':
        metrics.backToSourceFinishedFailure.inc(labels);
        this.#fail(peer, true, request.value.description);
        return;
      case 'downloadPieceFinishedRequest':
      case 'downloadPieceBackToSourceFinishedRequest':
        this.#pieceFinished(peer, request.value.piece, request.case === 'downloadPieceBackToSourceFinishedRequest');
        return;
      case 'downloadPieceFailedRequest': {
        const { parentId, pieceNumber } = request.value;
        metrics.pieceFinished.failure({ ...labelsOfPiece(labels), traffic_type: 'REMOTE_PEER' });
        logger.debug({ peerId, parentId, pieceNumber }, 'a piece failed');
        driver.tell((swarm, nowMs) => swarm.pieceFailed(peerId, parentId, nowMs));
        return;
      }
      case 'downloadPieceBackToSourceFailedRequest': {
        const { response } = request.value;
        this.#originStatus = response.case === 'backend' ? response.value.statusCode : undefined;
        metrics.pieceFinished.failure({ ...labelsOfPiece(labels), traffic_type: 'BACK_TO_SOURCE' });
        driver.tell((swarm, nowMs) => swarm.originPieceFailed(peerId, nowMs));
        return;
      }
      default:
        request satisfies never;
    }
  }

  #pieceFinished(peer: PeerView, piece: common.Piece | undefined, isFromOrigin: boolean): void {
    if (piece === undefined) return;
    const { driver, metrics, records } = this.#parts;
    const parentId = isFromOrigin ? undefined : piece.parentId;
    const type = trafficLabel(
      piece.trafficType ?? (isFromOrigin ? common.TrafficType.BACK_TO_SOURCE : common.TrafficType.REMOTE_PEER),
    );
    metrics.pieceFinished.attempt({ ...labelsOfPiece(peerLabels(peer)), traffic_type: type });
    const costMs = piece.cost === undefined ? 0 : durationMs(piece.cost);
    if (piece.cost !== undefined) metrics.pieceCostSeconds.observe(costMs / 1000);
    const bytes = safeNumber(piece.length) ?? 0;
    const delivery = { parentId, pieces: 1, bytes, durationMs: costMs };
    const nameOf = ({ host }: PeerView): string => records.host(host)?.message.hostname ?? '';
    const parent = parentId === undefined ? undefined : driver.swarm.peer(parentId);
    metrics.countTraffic(
      type,
      bytes,
      peer,
      nameOf(peer),
      parent === undefined ? undefined : { peer: parent, name: nameOf(parent) },
    );
    driver.tell((swarm, nowMs) =>
      swarm.piecesFinished(peer.id, { pieces: [piece.number], deliveries: [delivery] }, nowMs),
    );
  }

  #finish(peer: PeerView, fromOrigin: boolean): void {
    const { driver, metrics } = this.#parts;
    metrics.peerFinished.attempt(peerLabels(peer));
    metrics.downloadMilliseconds.observe(
      { task_size_level: sizeLevelOf(peer.task.size.contentLength) },
      driver.now() - peer.createdAtMs,
    );
    this.#isOver = true;
    driver.tell((swarm, nowMs) => swarm.peerFinished(peer.id, { fromOrigin }, nowMs));
  }

  #fail(peer: PeerView, fromOrigin: boolean, description: string | undefined): void {
    const { driver, metrics, logger } = this.#parts;
    metrics.peerFinished.attempt(peerLabels(peer));
    metrics.peerFinished.failure(peerLabels(peer));
    logger.info({ peerId: peer.id, taskId: peer.task.id, fromOrigin, description }, 'a download failed');
    this.#isOver = true;
    driver.tell((swarm, nowMs) => swarm.peerFailed(peer.id, { fromOrigin, originStatus: this.#originStatus }, nowMs));
  }

  /** Times the answer to a question of the peer, in a span below that of the call. */
  #openQuestion(cause: 'register' | 'reschedule', then?: () => void): void {
    const { metrics, telemetry, driver } = this.#parts;
    const startedMs = driver.now();
    const span = telemetry.tracer.startSpan(
      'schedule',
      { attributes: { 'd7y.cause': cause } },
      this.conversation.trace,
    );
    this.conversation.onAnswer = (answer, parentCount) => {
      metrics.scheduleMilliseconds.observe(driver.now() - startedMs);
      span.setAttributes({ 'd7y.answer': answer, 'd7y.parents': parentCount });
      span.end();
      then?.();
    };
  }
}

const labelsOfPiece = ({ task_type, host_type }: { task_type: string; host_type: string }) => ({
  task_type,
  host_type,
});
