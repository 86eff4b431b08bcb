import { create } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { LinkRequestCase } from '@d7y/peer-protocol';
import { QueueFullError } from '@d7y/service-kit';

/** Messages that may wait for a scheduler that does not read. */
const MAX_QUEUED_REQUESTS = 4_096;

const OVER = { done: true, value: undefined } as const;

/**
 * What one stream tells a scheduler: requests in order, and what is told again in between, which is made only as the stream takes it. Not a
 * generator, because Connect throws into a request stream that ends, and a generator that waits would not hear it.
 */
export class LinkRequests implements AsyncIterable<swarm.LinkRequest> {
  #queue: LinkRequestCase[] = [];
  #backlog: Iterator<LinkRequestCase> | undefined;
  #isOver = false;
  #waiting: PromiseWithResolvers<void> | undefined;

  /** @throws {QueueFullError} the scheduler does not read */
  push(request: LinkRequestCase): void {
    if (this.#isOver) return;
    if (this.#queue.length >= MAX_QUEUED_REQUESTS) throw new QueueFullError(MAX_QUEUED_REQUESTS);
    this.#queue.push(request);
    this.#wake();
  }

  /** Told when nothing else is to be said; takes the place of what was left of an earlier one. */
  tellAgain(backlog: Iterable<LinkRequestCase>): void {
    if (this.#isOver) return;
    this.#backlog = backlog[Symbol.iterator]();
    this.#wake();
  }

  close(): void {
    this.#isOver = true;
    this.#queue = [];
    this.#backlog = undefined;
    this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<swarm.LinkRequest, undefined> {
    const leave = (): void => this.close();
    return {
      next: async () => {
        for (;;) {
          if (this.#isOver) return OVER;
          const request = this.#queue.shift() ?? this.#again();
          if (request !== undefined) return { done: false, value: create(swarm.LinkRequestSchema, { request }) };
          await (this.#waiting ??= Promise.withResolvers<void>()).promise;
        }
      },
      return: () => {
        leave();
        return Promise.resolve(OVER);
      },
      throw: (error: Error) => {
        leave();
        return Promise.reject(error);
      },
    };
  }

  #again(): LinkRequestCase | undefined {
    const next = this.#backlog?.next();
    if (next === undefined || next.done === true) {
      this.#backlog = undefined;
      return undefined;
    }
    return next.value;
  }

  #wake(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}
