import { create, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { scheduler } from '@d7y/api';
import type { MessageCall } from '@d7y/service-kit';
import type { RefusalCode } from '@d7y/swarm';
import type { Context } from '@opentelemetry/api';
import type { OfferWriter } from '../messages/offer-writer.ts';
import type { ParentToOffer, PeerChannel } from './peer-channel.ts';

type Response = scheduler.AnnouncePeerResponse;

/** How the refusals of the swarm are told to callers. */
const REFUSAL_CODES: Readonly<Record<RefusalCode, Code>> = {
  notFound: Code.NotFound,
  failedPrecondition: Code.FailedPrecondition,
  resourceExhausted: Code.ResourceExhausted,
};

/** The scheduler's half of one AnnouncePeer stream: what is to be sent on it, and the trace it belongs to. */
export class Conversation implements PeerChannel {
  /** Called when the question that is open has its answer, or is turned down. */
  onAnswer: ((kind: string, parentCount: number) => void) | undefined;
  readonly #call: MessageCall;
  readonly #offers: OfferWriter;

  constructor(call: MessageCall, offers: OfferWriter) {
    this.#call = call;
    this.#offers = offers;
  }

  /** The caller's trace; what is done on behalf of the peer joins it. */
  get trace(): Context | undefined {
    return this.#call.trace;
  }

  answerEmpty(): void {
    this.#send({ case: 'emptyTaskResponse', value: create(scheduler.EmptyTaskResponseSchema) }, 'empty');
  }

  answerMetadataOnly(): void {
    this.#send({ case: 'metadataOnlyResponse', value: create(scheduler.MetadataOnlyResponseSchema) }, 'metadataOnly');
  }

  offerParents(parents: readonly ParentToOffer[]): void {
    this.#closeQuestion('parents', parents.length);
    this.#call.send(this.#offers.offer(parents));
  }

  grantOrigin(description: string): void {
    const value = create(scheduler.NeedBackToSourceResponseSchema, { description });
    this.#send({ case: 'needBackToSourceResponse', value }, 'backToSource');
  }

  refuse(code: RefusalCode, reason: string): void {
    this.fail(new ConnectError(reason, REFUSAL_CODES[code]));
  }

  supersede(): void {
    this.fail(new ConnectError('the peer speaks on another stream', Code.Aborted));
  }

  /** Ends the stream with an error. */
  fail(error: unknown): void {
    this.#closeQuestion('refused');
    this.#call.end(error);
  }

  /** Ends the stream as it should. */
  end(): void {
    this.#closeQuestion('ended');
    this.#call.end();
  }

  /** The stream is gone. */
  closed(error: unknown): void {
    this.#closeQuestion(error === undefined ? 'ended' : 'refused');
  }

  #send(response: Response['response'], kind: string): void {
    this.#closeQuestion(kind);
    const message = create(scheduler.AnnouncePeerResponseSchema, { response });
    this.#call.send(toBinary(scheduler.AnnouncePeerResponseSchema, message));
  }

  #closeQuestion(kind: string, parentCount = 0): void {
    const { onAnswer } = this;
    this.onAnswer = undefined;
    onAnswer?.(kind, parentCount);
  }
}
