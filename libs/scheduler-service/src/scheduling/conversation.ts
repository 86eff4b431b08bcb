import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { scheduler } from '@d7y/api';
import { AsyncQueue } from '@d7y/service-kit';
import type { RefusalCode } from '@d7y/swarm';
import type { Context } from '@opentelemetry/api';
import type { MessageWriter } from '../messages/message-writer.ts';
import type { ParentToOffer, PeerChannel } from './peer-channel.ts';

type Response = scheduler.AnnouncePeerResponse;

/** Answers that may wait for a peer that does not read: it gets one per question, and now and then further parents. */
const MAX_QUEUED_ANSWERS = 256;

/** How the refusals of the swarm are told to callers. */
const REFUSAL_CODES: Readonly<Record<RefusalCode, Code>> = {
  notFound: Code.NotFound,
  failedPrecondition: Code.FailedPrecondition,
  resourceExhausted: Code.ResourceExhausted,
};

/** The scheduler's half of one AnnouncePeer stream: what is to be sent on it, and the trace it belongs to. */
export class Conversation implements PeerChannel {
  readonly answers = new AsyncQueue<Response>(MAX_QUEUED_ANSWERS);
  /** The caller's trace; what is done on behalf of the peer joins it. */
  readonly trace: Context;
  /** Called when the question that is open has its answer, or is turned down. */
  onAnswer: ((kind: string, parentCount: number) => void) | undefined;
  readonly #writer: MessageWriter;

  constructor(trace: Context, writer: MessageWriter) {
    this.trace = trace;
    this.#writer = writer;
  }

  answerEmpty(): void {
    this.#send({ case: 'emptyTaskResponse', value: create(scheduler.EmptyTaskResponseSchema) }, 'empty');
  }

  answerMetadataOnly(): void {
    this.#send({ case: 'metadataOnlyResponse', value: create(scheduler.MetadataOnlyResponseSchema) }, 'metadataOnly');
  }

  offerParents(parents: readonly ParentToOffer[]): void {
    const candidateParents = this.#writer.candidates(parents.map(({ peer }) => peer));
    const value = create(scheduler.NormalTaskResponseSchema, { candidateParents });
    this.#send({ case: 'normalTaskResponse', value }, 'parents', candidateParents.length);
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
    this.#closeQuestion('refused', 0);
    this.answers.fail(error);
  }

  /** Ends the stream as it should. */
  end(): void {
    this.#closeQuestion('ended', 0);
    this.answers.close();
  }

  #send(response: Response['response'], kind: string, parentCount = 0): void {
    this.#closeQuestion(kind, parentCount);
    try {
      this.answers.push(create(scheduler.AnnouncePeerResponseSchema, { response }));
    } catch (error) {
      this.answers.fail(error);
    }
  }

  #closeQuestion(kind: string, parentCount: number): void {
    const { onAnswer } = this;
    this.onAnswer = undefined;
    onAnswer?.(kind, parentCount);
  }
}
