import type { Dispatcher } from 'undici';
import { ProgressFloor } from './progress-floor.ts';
import type { ProgressFloorOptions } from './progress-floor.ts';

/** Bytes waiting for the reader, above which the socket is not read from; one more read of it may come. */
const HIGH_WATER_BYTES = 256 * 1024;
/** An unwanted body up to this length is read to its end, so that its connection serves again. */
const DRAIN_BYTES = 16 * 1024;

/** The sender was slower than it may be. */
export class TooSlowError extends Error {
  override readonly name = 'TooSlowError';
}

/**
 * The body of one answer, from undici's parser to one reader, without a copy: Node's streams would join the buffers that wait.
 * Owner of the exchange from its first header to its end.
 */
export class ResponseBody implements AsyncIterable<Uint8Array> {
  readonly #controller: Dispatcher.DispatchController;
  readonly #floor: ProgressFloor;
  readonly #onEnd: (bytes: number, error: Error | undefined) => void;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #bytes = 0;
  #end: { error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;
  #isUnwanted = false;

  /** @param onEnd called once, when the exchange is over; without an error also when the reader left */
  constructor(
    controller: Dispatcher.DispatchController,
    floor: ProgressFloorOptions,
    onEnd: (bytes: number, error: Error | undefined) => void,
  ) {
    this.#controller = controller;
    this.#onEnd = onEnd;
    this.#floor = new ProgressFloor(floor, () =>
      this.#controller.abort(new TooSlowError(`less than ${floor.minBytesPerSec} bytes/s for ${floor.windowMs} ms`)),
    );
  }

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#isUnwanted) {
      if (this.#bytes > DRAIN_BYTES) this.#controller.abort(new Error('nobody reads this body'));
      return;
    }
    this.#floor.received(chunk.length);
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes >= HIGH_WATER_BYTES) this.#controller.pause();
    this.#wake?.();
  }

  finish(error: Error | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#floor[Symbol.dispose]();
    this.#onEnd(this.#bytes, this.#isUnwanted ? undefined : error);
    this.#wake?.();
  }

  /** Breaks off; the reader gets the reason. */
  abort(reason: Error): void {
    if (this.#end === undefined) this.#controller.abort(reason);
  }

  /**
   * Nobody will read this. A long body costs its connection, a short one is read away.
   * @param contentLength bytes still to come; undefined when unknown
   */
  discard(contentLength: number | undefined): void {
    if (this.#end !== undefined || this.#isUnwanted) return;
    this.#isUnwanted = true;
    this.#waiting.length = 0;
    if (contentLength === undefined || contentLength > DRAIN_BYTES) {
      this.#controller.abort(new Error('nobody reads this body'));
      return;
    }
    this.#floor.startWaiting(); // its end is due in one window, or else
    this.#controller.resume();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#waiting.shift();
        if (chunk !== undefined) {
          this.#waitingBytes -= chunk.length;
          if (this.#waitingBytes < HIGH_WATER_BYTES && this.#controller.paused) this.#controller.resume();
          yield chunk;
        } else if (this.#end?.error !== undefined) throw this.#end.error;
        else if (this.#end !== undefined) return;
        else await this.#more();
      }
    } finally {
      this.discard(undefined);
    }
  }

  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    this.#floor.startWaiting();
    await promise;
    this.#floor.stopWaiting();
    this.#wake = undefined;
  }
}
