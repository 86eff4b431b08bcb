import type { ServiceImpl } from '@connectrpc/connect';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { common, scheduler } from '@d7y/api';
import type { MessageCall, MessageHandler, Telemetry } from '@d7y/service-kit';
import { messageStream } from '@d7y/service-kit';
import type { PeerView } from '@d7y/swarm';
import type { Context, Span } from '@opentelemetry/api';
import type { Access } from '../access/access.ts';
import { ConversationError, PeerNotFoundError } from '../errors.ts';
import { readAnnouncement } from '../messages/announcement-reader.ts';
import { seedDownloadOf, toTaskRecord } from '../messages/download.ts';
import type { OfferWriter } from '../messages/offer-writer.ts';
import type { SeedDownloadOf, TaskRecord } from '../messages/records.ts';
import { DEFAULT_CONCURRENT_PIECES } from '../messages/message-writer.ts';
import { safeNumber, toRegistrationFacts } from '../messages/registration-facts.ts';
import { trafficLabel } from '../metrics.ts';
import type { SchedulerMetrics } from '../metrics.ts';
import type { Admission } from './admission.ts';
import { checkDownloadSize, type StreamQuota } from './overload.ts';
import { Conversation } from '../scheduling/conversation.ts';
import { QuestionTrace } from '../scheduling/question-trace.ts';
import type { PeerDescription, PeerReports } from '../scheduling/peer-reports.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';

type Request = scheduler.AnnouncePeerRequest;

export interface AnnouncePeerContext {
  readonly driver: SwarmDriver;
  readonly reports: PeerReports;
  readonly offers: OfferWriter;
  readonly metrics: SchedulerMetrics;
  readonly telemetry: Telemetry;
  readonly access: Access;
  readonly admission: Admission;
  readonly quota: StreamQuota;
}

/** What a registration says to others. */
class Description implements PeerDescription {
  readonly seedDownload: SeedDownloadOf;
  readonly concurrentPieceCount: number | undefined;
  readonly #download: common.Download;

  constructor(download: common.Download) {
    this.#download = download;
    this.seedDownload = seedDownloadOf(download);
    const count = download.concurrentPieceCount ?? DEFAULT_CONCURRENT_PIECES;
    this.concurrentPieceCount = count === DEFAULT_CONCURRENT_PIECES ? undefined : count;
  }

  source(): common.Download {
    return this.#download;
  }

  task(): TaskRecord {
    return toTaskRecord(this.#download);
  }
}

/** One download of one peer: its requests are handled in the order in which they come, its answers sent as they are decided. */
export const announcePeer = (
  parts: AnnouncePeerContext,
): Pick<ServiceImpl<typeof scheduler.Scheduler>, 'announcePeer'> => ({
  announcePeer: messageStream(
    scheduler.Scheduler.method.announcePeer,
    (call) => new PeerRequests(parts, call),
    readAnnouncement,
  ),
});

/** One stream. Knows its peer from the registration on. */
class PeerRequests implements MessageHandler<Request> {
  readonly #conversation: Conversation;
  readonly #parts: AnnouncePeerContext;
  readonly #call: MessageCall;
  /** Its place among the streams of its host. */
  #stream: Disposable | undefined;
  #peer: PeerView | undefined;
  #ids: { hostId: string; taskId: string; peerId: string } | undefined;
  /** The last answer of the origin to this peer, until its download is declared failed. */
  #originStatus: number | undefined;
  #isOver = false;

  constructor(parts: AnnouncePeerContext, call: MessageCall) {
    this.#parts = parts;
    this.#call = call;
    this.#conversation = new Conversation(call, parts.offers);
    parts.metrics.announcePeer.attempt();
    parts.metrics.openStreams.inc();
  }

  message(request: Request): Promise<void> | undefined {
    const admitted = request.request.case === 'registerPeerRequest' ? this.#admit(request.hostId) : undefined;
    if (admitted !== undefined) return admitted.then(() => this.#take(request));
    this.#take(request);
    return undefined;
  }

  ended(): void {
    this.#conversation.end();
  }

  /** The stream is gone. */
  closed(error: unknown): void {
    const { metrics, reports } = this.#parts;
    metrics.openStreams.dec();
    if (error !== undefined) metrics.announcePeer.failure();
    this.#stream?.[Symbol.dispose]();
    this.#conversation.closed(error);
    if (this.#ids !== undefined) reports.left(this.#ids.peerId, this.#conversation, { isOver: this.#isOver });
  }

  #take(request: Request): void {
    this.#handle(request);
    // The peer has said its last word.
    if (this.#isOver) this.#conversation.end();
  }

  /** Waits until the registration may be looked at. Only then is it known who speaks. */
  #admit(hostId: string): Promise<void> | undefined {
    const { access, admission, driver, quota } = this.#parts;
    access.checkHost(this.#call, hostId);
    this.#stream ??= quota.enter(hostId);
    return admission.registration(driver.swarm.host(hostId)?.isOwn === true, this.#call);
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
    const { reports } = this.#parts;
    checkDownloadSize(download);
    if (this.#ids !== undefined)
      throw new ConversationError(`peer ${this.#ids.peerId} has registered on this stream already`);
    this.#ids = ids;
    const question = this.#openQuestion('register');
    this.#peer = reports.registered(this.#conversation, toRegistrationFacts(ids, download), new Description(download));
    question?.evaluated();
  }

  #report(peerId: string, request: Exclude<Request['request'], { case: undefined | 'registerPeerRequest' }>): void {
    const { driver, reports } = this.#parts;
    const peer = this.#peer;
    if (peer === undefined || driver.swarm.peer(peerId) !== peer) throw new PeerNotFoundError(peerId);
    switch (request.case) {
      case 'downloadPeerStartedRequest':
        reports.started(peer);
        return;
      case 'downloadPeerBackToSourceStartedRequest':
        reports.startedAtOrigin(peer);
        return;
      case 'reschedulePeerRequest': {
        const question = this.#openQuestion('reschedule');
        reports.rescheduled(
          peer,
          request.value.candidateParents.map(({ id }) => id),
        );
        question?.evaluated();
        return;
      }
      case 'downloadPeerFinishedRequest':
      case 'downloadPeerBackToSourceFinishedRequest':
        this.#isOver = true;
        reports.finished(peer, request.case === 'downloadPeerBackToSourceFinishedRequest');
        return;
      case 'downloadPeerFailedRequest':
      case 'downloadPeerBackToSourceFailedRequest': {
        this.#isOver = true;
        const fromOrigin = request.case === 'downloadPeerBackToSourceFailedRequest';
        const { description } = request.value;
        reports.failed(peer, { fromOrigin, description, originStatus: this.#originStatus });
        return;
      }
      case 'downloadPieceFinishedRequest':
      case 'downloadPieceBackToSourceFinishedRequest':
        this.#pieceFinished(peer, request.value.piece, request.case === 'downloadPieceBackToSourceFinishedRequest');
        return;
      case 'downloadPieceFailedRequest':
        reports.pieceFailed(peer, request.value.parentId, request.value.pieceNumber);
        return;
      case 'downloadPieceBackToSourceFailedRequest': {
        const { response } = request.value;
        this.#originStatus = response.case === 'backend' ? response.value.statusCode : undefined;
        reports.originPieceFailed(peer);
        return;
      }
      default:
        request satisfies never;
    }
  }

  #pieceFinished(peer: PeerView, piece: common.Piece | undefined, isFromOrigin: boolean): void {
    if (piece === undefined) return;
    const traffic = trafficLabel(
      piece.trafficType ?? (isFromOrigin ? common.TrafficType.BACK_TO_SOURCE : common.TrafficType.REMOTE_PEER),
    );
    const delivery = {
      parentId: isFromOrigin ? undefined : piece.parentId,
      pieces: 1,
      bytes: safeNumber(piece.length) ?? 0,
      durationMs: piece.cost === undefined ? 0 : durationMs(piece.cost),
      traffic,
    };
    this.#parts.reports.piecesFinished(peer, { pieces: [piece.number], deliveries: [delivery] });
  }

  /** Times the answer to a question of the peer, in spans below that of the call. */
  #openQuestion(cause: 'register' | 'reschedule'): QuestionTrace | undefined {
    const { reports, telemetry, driver } = this.#parts;
    const { trace } = this.#conversation;
    const startedMs = driver.now();
    const registering = cause === 'register' && trace !== undefined ? this.#registrationSpan(trace) : undefined;
    const question = trace === undefined ? undefined : new QuestionTrace(telemetry.tracer, cause, trace);
    this.#conversation.onAnswer = (answer, parentCount) => {
      reports.answered(startedMs);
      question?.answered(answer, parentCount);
      registering?.end();
    };
    return question;
  }

  #registrationSpan(trace: Context): Span {
    const { taskId, peerId, hostId } = this.#ids ?? {};
    const attributes = { 'd7y.task_id': taskId, 'd7y.peer_id': peerId, 'd7y.host_id': hostId };
    return this.#parts.telemetry.tracer.startSpan('register peer', { attributes }, trace);
  }
}
