import type { Dispatcher } from 'undici';
import { ProgressFloor } from './progress-floor.ts';
import type { ProgressFloorOptions } from './progress-floor.ts';
import { type ReadBuffers, READ_BYTES } from './read-buffers.ts';

/** Bytes gathered for the reader while it is busy. A body has two buffers of this size: one fills, one is read. */
const BUFFER_BYTES = 2 * READ_BYTES;
/** An unwanted body up to this length is read to its end, so that its connection serves again. */
const DRAIN_BYTES = 16 * 1024;
/** Buffers of bodies that have ended, kept for the next ones. */
const MAX_FREE = 16;
const free: Buffer[] = [];

/** The sender was slower than it may be. */
export class TooSlowError extends Error {
  override readonly name = 'TooSlowError';
}

/**
 * The body of one answer, from undici's parser to one reader, through two buffers of its own: while the reader has one, the other one
 * fills; when that is full, the socket is not read. What is read is valid until the reader asks for more.
 * Owner of the exchange from its first header to its end.
 */
export class ResponseBody implements AsyncIterable<Uint8Array> {
  readonly #controller: Dispatcher.DispatchController;
  readonly #floor: ProgressFloor;
  readonly #readBuffers: ReadBuffers;
  readonly #onEnd: (bytes: number, error: Error | undefined) => void;
  #filling: Buffer | undefined;
  #filled = 0;
  #bytes = 0;
  #end: { error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;
  #isUnwanted = false;

  /** @param onEnd called once, when the exchange is over; without an error also when the reader left */
  constructor(
    controller: Dispatcher.DispatchController,
    { floor, readBuffers }: { readonly floor: ProgressFloorOptions; readonly readBuffers: ReadBuffers },
    onEnd: (bytes: number, error: Error | undefined) => void,
  ) {
    this.#controller = controller;
    this.#readBuffers = readBuffers;
    this.#onEnd = onEnd;
    this.#floor = new ProgressFloor(floor, () =>
      this.#controller.abort(new TooSlowError(`less than ${floor.minBytesPerSec} bytes/s for ${floor.windowMs} ms`)),
    );
  }

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#isUnwanted) {
      this.#readBuffers.giveBack(chunk);
      if (this.#bytes > DRAIN_BYTES) this.#controller.abort(new Error('nobody reads this body'));
      return;
    }
    this.#floor.received(chunk.length);
    this.#gather(chunk);
    this.#readBuffers.giveBack(chunk);
    if (BUFFER_BYTES - this.#filled < READ_BYTES) this.#controller.pause();
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
    if (this.#isUnwanted) return;
    this.#isUnwanted = true;
    this.#release(this.#filling);
    this.#filling = undefined;
    this.#filled = 0;
    if (this.#end !== undefined) return;
    if (contentLength === undefined || contentLength > DRAIN_BYTES) {
      this.#controller.abort(new Error('nobody reads this body'));
      return;
    }
    this.#floor.startWaiting(); // its end is due in one window, or else
    this.#controller.resume();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    let read: Buffer | undefined;
    try {
      for (;;) {
        this.#release(read);
        read = undefined;
        if (this.#filled > 0) {
          read = this.#filling;
          const length = this.#filled;
          this.#filling = undefined;
          this.#filled = 0;
          if (this.#controller.paused) this.#controller.resume();
          if (read !== undefined) yield read.subarray(0, length);
        } else if (this.#end?.error !== undefined) throw this.#end.error;
        else if (this.#end !== undefined) return;
        else await this.#more();
      }
    } finally {
      this.#release(read);
      this.discard(undefined);
    }
  }

  #gather(chunk: Uint8Array): void {
    this.#filling ??= free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    if (this.#filled + chunk.length > this.#filling.length) {
      // At the end of a body without a length the parser does not heed the pause: once, and no more than one read.
      const larger = Buffer.allocUnsafeSlow(this.#filled + chunk.length);
      larger.set(this.#filling.subarray(0, this.#filled));
      this.#filling = larger;
    }
    this.#filling.set(chunk, this.#filled);
    this.#filled += chunk.length;
  }

  #release(buffer: Buffer | undefined): void {
    if (buffer?.length === BUFFER_BYTES && free.length < MAX_FREE) free.push(buffer);
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
