import { create } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';
import { Code } from '@connectrpc/connect';
import { errordetails, scheduler } from '@d7y/api';
import type { PieceReport } from '@d7y/piece';
import type { Logger } from '@d7y/service-kit';
import { AsyncQueue } from '@d7y/service-kit';
import type { Announcement, Instruction, PeerRegistration } from './announcement.ts';
import { AnnouncementBacklogError } from './errors.ts';
import { parseParents } from './parent-offer.ts';
import type { Parent } from './parent.ts';
import { toPieceMessage } from './piece-message.ts';
import { toDownloadMessage } from './registration-message.ts';
import { RpcError } from './rpc-error.ts';

type Request = scheduler.AnnouncePeerRequest;
type RequestMember = Exclude<Request['request'], { case: undefined }>;

/** Bounds of one conversation. */
export interface AnnouncementLimits {
  /** Until the scheduler accepts the stream; stock ones do so with their first answer, within four seconds. */
  readonly headerTimeoutMs: number;
  /** From the last words until the scheduler has closed the stream. */
  readonly closeTimeoutMs: number;
  /** Reports that may wait for the connection. */
  readonly maxQueuedReports: number;
}

export const ANNOUNCEMENT_LIMITS: AnnouncementLimits = {
  headerTimeoutMs: 10_000,
  closeTimeoutMs: 3_000,
  maxQueuedReports: 8192,
};

/** Instructions answer registrations and reschedules one by one; a scheduler that sends more than this unasked is broken. */
const MAX_QUEUED_INSTRUCTIONS = 64;

export interface AnnouncementInit {
  readonly client: Client<typeof scheduler.Scheduler>;
  /** `host:port` of the scheduler. */
  readonly address: string;
  readonly registration: PeerRegistration;
  readonly limits: AnnouncementLimits;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Opens the stream and registers. */
export function openAnnouncement(init: AnnouncementInit): Announcement {
  return new AnnouncePeerConversation(init);
}

/**
 * One AnnouncePeer stream. Owns both directions: reports wait in `#requests` for the connection, answers in
 * `#instructions` for the reader, and one loop (`#run`) lives as long as the stream does.
 */
class AnnouncePeerConversation implements Announcement {
  readonly #init: AnnouncementInit;
  readonly #requests: AsyncQueue<Request>;
  readonly #instructions = new AsyncQueue<Instruction>(MAX_QUEUED_INSTRUCTIONS);
  /** Cancels the stream; it is not the caller's signal, because last words outlive their caller. */
  readonly #cancel = new AbortController();
  readonly #closed: Promise<void>;

  constructor(init: AnnouncementInit) {
    this.#init = init;
    this.#requests = new AsyncQueue(init.limits.maxQueuedReports);
    this.#say({
      case: 'registerPeerRequest',
      value: create(scheduler.RegisterPeerRequestSchema, { download: toDownloadMessage(init.registration) }),
    });
    this.#closed = this.#run();
  }

  get instructions(): AsyncIterable<Instruction> {
    return this.#instructions;
  }

  started(): void {
    this.#say({ case: 'downloadPeerStartedRequest', value: create(scheduler.DownloadPeerStartedRequestSchema) });
  }

  backToSourceStarted(reason: string): void {
    this.#say({
      case: 'downloadPeerBackToSourceStartedRequest',
      value: create(scheduler.DownloadPeerBackToSourceStartedRequestSchema, described(reason)),
    });
  }

  pieceFinished(record: PieceReport): void {
    const piece = toPieceMessage(record);
    this.#say(
      record.trafficType === 'backToSource'
        ? {
            case: 'downloadPieceBackToSourceFinishedRequest',
            value: create(scheduler.DownloadPieceBackToSourceFinishedRequestSchema, { piece }),
          }
        : {
            case: 'downloadPieceFinishedRequest',
            value: create(scheduler.DownloadPieceFinishedRequestSchema, { piece }),
          },
    );
  }

  pieceFailed(pieceNumber: number | undefined, parentId: string): void {
    this.#say({
      case: 'downloadPieceFailedRequest',
      value: create(scheduler.DownloadPieceFailedRequestSchema, {
        parentId,
        temporary: true,
        ...(pieceNumber === undefined ? {} : { pieceNumber }),
      }),
    });
  }

  reschedule(parents: readonly Parent[], reason: string): void {
    this.#say({
      case: 'reschedulePeerRequest',
      value: create(scheduler.ReschedulePeerRequestSchema, {
        candidateParents: parents.map(({ offer }) => offer),
        ...described(reason),
      }),
    });
  }

  finished(): Promise<void> {
    this.#say({ case: 'downloadPeerFinishedRequest', value: create(scheduler.DownloadPeerFinishedRequestSchema) });
    return this.#end();
  }

  backToSourceFinished(): Promise<void> {
    this.#say({
      case: 'downloadPeerBackToSourceFinishedRequest',
      value: create(scheduler.DownloadPeerBackToSourceFinishedRequestSchema),
    });
    return this.#end();
  }

  failed(reason: string): Promise<void> {
    this.#say({
      case: 'downloadPeerFailedRequest',
      value: create(scheduler.DownloadPeerFailedRequestSchema, described(reason)),
    });
    return this.#end();
  }

  backToSourceFailed(
    reason: string,
    origin?: { status: number; headers: Readonly<Record<string, string>> },
  ): Promise<void> {
    this.#say({
      case: 'downloadPieceBackToSourceFailedRequest',
      value: create(scheduler.DownloadPieceBackToSourceFailedRequestSchema, {
        response:
          origin === undefined
            ? { case: 'unknown', value: create(errordetails.UnknownSchema, { message: reason }) }
            : {
                case: 'backend',
                value: create(errordetails.BackendSchema, {
                  message: reason,
                  header: { ...origin.headers },
                  statusCode: origin.status,
                }),
              },
      }),
    });
    this.#say({
      case: 'downloadPeerBackToSourceFailedRequest',
      value: create(scheduler.DownloadPeerBackToSourceFailedRequestSchema, described(reason)),
    });
    return this.#end();
  }

  abort(): void {
    this.#instructions.close();
    this.#requests.close();
    this.#cancel.abort();
  }

  #say(request: RequestMember): void {
    const { hostId, taskId, peerId } = this.#init.registration;
    try {
      this.#requests.push(create(scheduler.AnnouncePeerRequestSchema, { hostId, taskId, peerId, request }));
    } catch (error) {
      const limit = this.#init.limits.maxQueuedReports;
      this.#fail(new AnnouncementBacklogError(this.#init.address, limit, { cause: error }));
    }
  }

  /** Nothing more will be said: a scheduler closes after the last words, and ours is told so by the half-closed stream. */
  async #end(): Promise<void> {
    this.#requests.close();
    const timer = setTimeout(() => {
      this.#init.logger.debug(
        { scheduler: this.#init.address, peerId: this.#init.registration.peerId },
        'the scheduler did not close a finished conversation; it is cancelled',
      );
      this.abort();
    }, this.#init.limits.closeTimeoutMs);
    try {
      await this.#closed;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Reads answers until the stream ends; never rejects. */
  async #run(): Promise<void> {
    const { client, signal, limits, address } = this.#init;
    const onAbort = (): void => this.#fail(signal.reason);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    const headerTimer = setTimeout(() => {
      const reason = `no answer within ${limits.headerTimeoutMs} ms`;
      this.#fail(new RpcError(address, 'AnnouncePeer', Code.DeadlineExceeded, reason));
    }, limits.headerTimeoutMs);
    try {
      const responses = client.announcePeer(generated(this.#requests), {
        signal: this.#cancel.signal,
        onHeader: () => clearTimeout(headerTimer),
      });
      for await (const { response } of responses) {
        this.#instructions.push(this.#parse(response));
      }
      this.#instructions.close();
    } catch (error) {
      this.#fail(RpcError.from(address, 'AnnouncePeer', error));
    } finally {
      clearTimeout(headerTimer);
      signal.removeEventListener('abort', onAbort);
      this.#requests.close(); // Connect leaves the request generator waiting when the server ends first
    }
  }

  /** After the end, and after an earlier failure, nothing changes any more. */
  #fail(error: unknown): void {
    this.#instructions.fail(error instanceof Error ? error : new Error(String(error)));
    this.#requests.close();
    this.#cancel.abort();
  }

  #parse(response: scheduler.AnnouncePeerResponse['response']): Instruction {
    switch (response.case) {
      case 'emptyTaskResponse':
        return { kind: 'empty' };
      case 'needBackToSourceResponse':
        return { kind: 'backToSource', reason: response.value.description || undefined };
      case 'metadataOnlyResponse':
        return { kind: 'metadataOnly' };
      case 'normalTaskResponse':
        return {
          kind: 'parents',
          parents: parseParents(response.value.candidateParents, (peerId, reason) =>
            this.#init.logger.warn(
              { scheduler: this.#init.address, taskId: this.#init.registration.taskId, parent: peerId, reason },
              'the scheduler offered a parent that cannot be used',
            ),
          ),
        };
      case undefined:
        throw new RpcError(this.#init.address, 'AnnouncePeer', Code.Unimplemented, 'an answer of an unknown kind');
      default:
        return response satisfies never;
    }
  }
}

/** A description that is present must not be empty. */
function described(reason: string): { description?: string } {
  return reason === '' ? {} : { description: reason };
}

/** Connect cancels a request stream by the `throw` of its iterator, which queues do not have. */
async function* generated<T>(source: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  for await (const item of source) yield item;
}
