import type { OriginRequest } from '@d7y/peer-engine';
import { OriginChangedError, OriginUnreachableError } from '@d7y/peer-engine';
import type { ByteRange } from '@d7y/piece';
import { parseContentRange } from '@d7y/piece';
import type { Exchange } from './exchange.ts';
import { contentLengthOf, headerOf, strongEtagOf } from './header-rules.ts';
import type { Requester } from './requester.ts';
import type { RetryPolicyOptions } from './retry-policy.ts';
import { Attempts, isPassing } from './retry-policy.ts';
import { refused } from './refused.ts';
import type { RefusingHosts } from './refusing-hosts.ts';
import { asUnreachable, isRefusal, isWorthRepeating } from './unreachable.ts';

/** Bytes of one answer that are part of what was asked for. */
interface Opened {
  readonly exchange: Exchange;
  /** Bytes to pass over first: the origin began at its beginning although asked for a later part. */
  readonly skipBytes: number;
  /** Position after the last byte; undefined when only the end of the body tells. */
  readonly end: number | undefined;
  /** The body goes on after `end`. */
  readonly isCut: boolean;
}

/**
 * Reads one range of one content, or all of it, over as many connections as it takes. Owner of the position up to which bytes
 * have been delivered, and of what must not change meanwhile.
 */
export class OriginReader {
  readonly #requester: Requester;
  readonly #refusing: RefusingHosts;
  readonly #request: OriginRequest;
  readonly #range: ByteRange | undefined;
  readonly #signal: AbortSignal;
  readonly #attempts: Attempts;
  #position: number;
  #opened: Opened | undefined;
  #etag: string | undefined;
  #total: number | undefined;
  #isFirst = true;

  constructor(
    requester: Requester,
    retry: RetryPolicyOptions,
    refusing: RefusingHosts,
    request: OriginRequest,
    range: ByteRange | undefined,
    signal: AbortSignal,
  ) {
    this.#requester = requester;
    this.#refusing = refusing;
    this.#request = request;
    this.#range = range;
    this.#signal = signal;
    this.#attempts = new Attempts(retry);
    this.#position = range?.start ?? 0;
    this.#etag = strongEtagOf({ etag: request.pinned?.etag });
    this.#total = request.pinned?.contentLength;
  }

  /**
   * Gets an answer whose body continues at the current position.
   * @throws {OriginStatusError} @throws {OriginUnreachableError}
   */
  async open(): Promise<void> {
    for (;;) {
      let exchange: Exchange;
      try {
        exchange = await this.#ask();
      } catch (error) {
        await this.#againAfter(error);
        continue;
      }
      this.#refusing.answered(this.#request.url);
      if (exchange.status === 200 || exchange.status === 206) {
        this.#opened = this.#accept(exchange);
        this.#isFirst = false;
        return;
      }
      exchange.body.discard(contentLengthOf(exchange.headers));
      const mayPass = isPassing(exchange.status) && (await this.#attempts.again(exchange, { signal: this.#signal }));
      if (!mayPass) {
        if (exchange.status === 416) this.#assertPinned(exchange);
        throw refused(this.#request.url, exchange);
      }
    }
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#opened === undefined) await this.open();
      const opened = this.#opened;
      if (opened === undefined) continue;
      try {
        yield* this.#deliver(opened);
        return;
      } catch (error) {
        // Also the reader's own leaving passes here, but as a return, not as an error.
        await this.#againAfter(error);
        this.#opened = undefined;
      } finally {
        opened.exchange.body.discard(undefined);
      }
    }
  }

  async *#deliver({ exchange, skipBytes, end, isCut }: Opened): AsyncGenerator<Uint8Array> {
    if (end !== undefined && this.#position >= end) return;
    let skip = skipBytes;
    for await (let chunk of exchange.body) {
      this.#signal.throwIfAborted();
      if (skip > 0) {
        const skipped = Math.min(skip, chunk.length);
        skip -= skipped;
        chunk = chunk.subarray(skipped);
      }
      if (end !== undefined) chunk = chunk.subarray(0, end - this.#position);
      if (chunk.length === 0) continue;
      this.#position += chunk.length;
      this.#attempts.succeeded();
      yield chunk;
      if (this.#position === end) {
        if (!isCut) exchange.body.discard(0); // its connection serves the next range
        return;
      }
    }
    if (end !== undefined) throw new Error(`the body ended at ${this.#position} instead of ${end}`);
  }

  #ask(): Promise<Exchange> {
    const range = this.#wantedRange();
    const isContinued = this.#request.pinned !== undefined || this.#position > (this.#range?.start ?? 0);
    const ifRange = isContinued && range !== undefined ? (this.#etag ?? this.#pinnedDate) : undefined;
    return this.#requester.send(this.#request, { method: 'GET', range, ifRange }, { signal: this.#signal });
  }

  #wantedRange(): string | undefined {
    if (this.#range !== undefined) return `bytes=${this.#position}-${this.#range.start + this.#range.length - 1}`;
    return this.#position === 0 ? undefined : `bytes=${this.#position}-`;
  }

  #accept(exchange: Exchange): Opened {
    try {
      this.#assertPinned(exchange);
      const opened = exchange.status === 206 ? this.#acceptPart(exchange) : this.#acceptWhole(exchange);
      this.#assertUnchanged(exchange);
      return opened;
    } catch (error) {
      exchange.body.discard(undefined);
      throw error;
    }
  }

  #acceptPart(exchange: Exchange): Opened {
    const got = parseContentRange(headerOf(exchange.headers, 'content-range'));
    const wantedEnd = this.#range === undefined ? (got?.total ?? this.#total) : this.#range.start + this.#range.length;
    const gotEnd = got?.range === undefined ? undefined : got.range.start + got.range.length;
    if (this.#wantedRange() === undefined || got?.range?.start !== this.#position || gotEnd !== wantedEnd) {
      throw this.#wrong('the origin sent another range than asked for');
    }
    if (got.total !== undefined) {
      if (this.#total !== undefined && this.#total !== got.total) throw this.#wrong('the content changed its length');
      this.#total = got.total;
    }
    return { exchange, skipBytes: 0, end: gotEnd, isCut: false };
  }

  /** The origin does not honour ranges: good for the beginning of the content, and for going on with what began there. */
  #acceptWhole(exchange: Exchange): Opened {
    const start = this.#range?.start ?? 0;
    if (start > 0) throw this.#wrong('the origin does not honour ranges');
    const total = contentLengthOf(exchange.headers);
    if (total !== undefined && this.#total !== undefined && total !== this.#total) {
      throw this.#wrong('the content changed its length');
    }
    const end = this.#range === undefined ? total : this.#range.length;
    if (total !== undefined && end !== undefined && total < end)
      throw this.#wrong('the content is shorter than asked for');
    this.#total = total ?? this.#total;
    return { exchange, skipBytes: this.#position, end, isCut: end !== total };
  }

  /** A date serves where there is no strong tag; a weak tag may stand for several forms of the bytes, and its date for them all. */
  get #pinnedDate(): string | undefined {
    const { etag, lastModified } = this.#request.pinned ?? {};
    return etag === undefined ? lastModified : undefined;
  }

  /** @throws {OriginChangedError} the answer belongs to another version than the one that is wanted */
  #assertPinned({ status, headers }: Exchange): void {
    const { pinned, url } = this.#request;
    if (pinned === undefined) return;
    const etag = strongEtagOf(headers);
    const before = strongEtagOf({ etag: pinned.etag });
    const date = headerOf(headers, 'last-modified');
    const total =
      status === 200 ? contentLengthOf(headers) : parseContentRange(headerOf(headers, 'content-range'))?.total;
    const isOther =
      (total !== undefined && total !== pinned.contentLength) ||
      (before !== undefined && etag !== undefined
        ? before !== etag
        : pinned.lastModified !== undefined && date !== undefined && pinned.lastModified !== date);
    if (isOther) throw new OriginChangedError(url, 'the content is not the one of which a part is here any more');
  }

  #assertUnchanged(exchange: Exchange): void {
    const etag = strongEtagOf(exchange.headers);
    if (!this.#isFirst && this.#etag !== undefined && etag !== undefined && etag !== this.#etag) {
      throw this.#wrong('the content changed while it was read');
    }
    this.#etag ??= etag;
  }

  /** @throws what stands in the way of another attempt */
  async #againAfter(error: unknown): Promise<void> {
    this.#signal.throwIfAborted();
    const { url } = this.#request;
    // Once something came, an origin that restarts is waited for like any other failure.
    const isRefused = this.#isFirst && isRefusal(error);
    if (isRefused) this.#attempts.refused({ isKnown: this.#refusing.has(url) });
    const mayPass = isWorthRepeating(error) && (await this.#attempts.again(undefined, { signal: this.#signal }));
    if (mayPass) return;
    if (isRefused) this.#refusing.refused(url);
    throw asUnreachable(url, error);
  }

  #wrong(reason: string): OriginUnreachableError {
    return new OriginUnreachableError(this.#request.url, reason);
  }
}
