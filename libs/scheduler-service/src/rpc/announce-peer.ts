import type { ServiceImpl } from '@connectrpc/connect';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { common } from '@d7y/api';
import type { scheduler } from '@d7y/api';
import type { Telemetry } from '@d7y/service-kit';
import { untilAborted } from '@d7y/service-kit';
import type { PeerView } from '@d7y/swarm';
import { context } from '@opentelemetry/api';
import type { Access, CallContext } from '../access/access.ts';
import { ConversationError, PeerNotFoundError } from '../errors.ts';
import { toSeedDownload, toTaskRecord } from '../messages/download.ts';
import type { MessageWriter } from '../messages/message-writer.ts';
import { DEFAULT_CONCURRENT_PIECES } from '../messages/message-writer.ts';
import { safeNumber, toRegistrationFacts } from '../messages/registration-facts.ts';
import { trafficLabel } from '../metrics.ts';
import type { SchedulerMetrics } from '../metrics.ts';
import type { Admission } from './admission.ts';
import { checkDownloadSize, type StreamQuota } from './overload.ts';
import { Conversation } from '../scheduling/conversation.ts';
import { QuestionTrace } from '../scheduling/question-trace.ts';
import type { PeerReports } from '../scheduling/peer-reports.ts';
import type { SwarmDriver } from '../scheduling/swarm-driver.ts';

type Request = scheduler.AnnouncePeerRequest;

export interface AnnouncePeerContext {
  readonly driver: SwarmDriver;
  readonly reports: PeerReports;
  readonly writer: MessageWriter;
  readonly metrics: SchedulerMetrics;
  readonly telemetry: Telemetry;
  readonly access: Access;
  readonly admission: Admission;
  readonly quota: StreamQuota;
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
  readonly #call: CallContext & { readonly signal: AbortSignal };
  /** Its place among the streams of its host. */
  #stream: Disposable | undefined;
  #peer: PeerView | undefined;
  #ids: { hostId: string; taskId: string; peerId: string } | undefined;
  /** The last answer of the origin to this peer, until its download is declared failed. */
  #originStatus: number | undefined;
  #isOver = false;

  constructor(parts: AnnouncePeerContext, call: CallContext & { readonly signal: AbortSignal }) {
    this.#parts = parts;
    this.#call = call;
    this.conversation = new Conversation(context.active(), parts.writer);
  }

  /** Handles requests until the peer has said its last word, the stream ends, or one of them is wrong. */
  async read(requests: AsyncIterable<Request>): Promise<void> {
    try {
      for await (const request of requests) {
        if (request.request.case === 'registerPeerRequest') await this.#admit(request.hostId);
        this.#handle(request);
        if (this.#isOver) break;
      }
      this.conversation.end();
    } catch (error) {
      this.conversation.fail(error);
    }
  }

  /** The stream is gone. */
  leave(): void {
    this.#stream?.[Symbol.dispose]();
    this.#stream = undefined;
    this.conversation.end();
    const ids = this.#ids;
    if (ids !== undefined) this.#parts.reports.left(ids.peerId, this.conversation, { isOver: this.#isOver });
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
    const { reports, telemetry } = this.#parts;
    checkDownloadSize(download);
    if (this.#ids !== undefined)
      throw new ConversationError(`peer ${this.#ids.peerId} has registered on this stream already`);
    this.#ids = ids;
    const span = telemetry.tracer.startSpan(
      'register peer',
      { attributes: { 'd7y.task_id': ids.taskId, 'd7y.peer_id': ids.peerId, 'd7y.host_id': ids.hostId } },
      this.conversation.trace,
    );
    const question = this.#openQuestion('register', () => span.end());
    const concurrentPieceCount = download.concurrentPieceCount ?? DEFAULT_CONCURRENT_PIECES;
    this.#peer = reports.registered(this.conversation, toRegistrationFacts(ids, download), {
      ...{ application: download.application, url: download.url },
      peer: { concurrentPieceCount, seedDownload: toSeedDownload(download) },
      task: () => toTaskRecord(download),
    });
    question.evaluated();
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
        question.evaluated();
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

  /** Times the answer to a question of the peer, in a span below that of the call. */
  #openQuestion(cause: 'register' | 'reschedule', then?: () => void): QuestionTrace {
    const { reports, telemetry, driver } = this.#parts;
    const startedMs = driver.now();
    const question = new QuestionTrace(telemetry.tracer, cause, this.conversation.trace);
    this.conversation.onAnswer = (answer, parentCount) => {
      reports.answered(startedMs);
      question.answered(answer, parentCount);
      then?.();
    };
    return question;
  }
}
