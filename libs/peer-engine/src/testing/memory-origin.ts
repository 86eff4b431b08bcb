import type { ByteRange } from '@d7y/piece';
import type { Origin, OriginBody, OriginProbe, OriginRequest, OriginValidators } from '../ports/origin.ts';
import { OriginStatusError, OriginUnreachableError } from '../ports/origin.ts';

/** Content as the origin keeps it, and how it behaves. */
export interface OriginContent {
  readonly bytes: Uint8Array;
  /** Default true. */
  readonly acceptsRanges?: boolean;
  /** False: the length is known only at the end. Default true. */
  readonly tellsLength?: boolean;
  /** End-to-end headers of the answer, lower-case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The value of the authorization header without which the answer is 401; public when absent. */
  readonly authorization?: string;
}

/** A request as it reached the origin. */
export interface OriginCall {
  readonly kind: 'probe' | 'fetch';
  readonly url: string;
  readonly range: ByteRange | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Names only. */
  readonly credentials: readonly string[];
  readonly pinned: OriginValidators | undefined;
  readonly authorities: string | undefined;
}

const CHUNK_BYTES = 64 * 1024;

/** An Origin without a network, which counts what it is asked and fails when told to. */
export class MemoryOrigin implements Origin {
  /** Every request, in the order of arrival. */
  readonly calls: OriginCall[] = [];
  /** Body bytes handed out by url; the byte of a probe is free. */
  readonly bytesServed = new Map<string, number>();
  /** Awaited before each answer: lets a test hold the origin back, or fail a request by throwing. */
  onCall: (call: OriginCall, options: { signal: AbortSignal }) => Promise<void> | void = () => undefined;
  /** Awaited before each chunk of a body, with its position in the content: lets a test cut or stop a body. */
  onChunk: (call: OriginCall, position: number, options: { signal: AbortSignal }) => Promise<void> | void = () =>
    undefined;
  readonly #contents = new Map<string, OriginContent>();

  /** Puts content under a url, in place of what was there. */
  put(url: string, content: OriginContent): void {
    this.#contents.set(url, content);
  }

  remove(url: string): void {
    this.#contents.delete(url);
  }

  async probe(request: OriginRequest, { signal }: { signal: AbortSignal }): Promise<OriginProbe> {
    const { content } = await this.#admit('probe', request, undefined, signal);
    return {
      contentLength: content.tellsLength === false ? undefined : content.bytes.length,
      acceptsRanges: content.acceptsRanges ?? true,
      headers: content.headers ?? {},
    };
  }

  async fetch(
    request: OriginRequest,
    range: ByteRange | undefined,
    { signal }: { signal: AbortSignal },
  ): Promise<OriginBody> {
    const { call, content } = await this.#admit('fetch', request, range, signal);
    const { start, length } = range ?? { start: 0, length: content.bytes.length };
    if (start > 0 && content.acceptsRanges === false) {
      throw new OriginUnreachableError(request.url, 'the origin does not honour ranges');
    }
    if (start + length > content.bytes.length) {
      throw start < content.bytes.length
        ? new OriginUnreachableError(request.url, 'the origin sent another range than asked for')
        : new OriginStatusError(request.url, 416, { 'content-range': `bytes */${content.bytes.length}` });
    }
    return { chunks: this.#chunks(call, content.bytes, start, start + length, signal) };
  }

  async *#chunks(
    call: OriginCall,
    bytes: Uint8Array,
    start: number,
    end: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    for (let position = start; position < end;) {
      await this.onChunk(call, position, { signal });
      signal.throwIfAborted();
      // A copy, as from a socket: who changes what it was given does not change the origin.
      const chunk = bytes.slice(position, Math.min(position + CHUNK_BYTES, end));
      this.bytesServed.set(call.url, (this.bytesServed.get(call.url) ?? 0) + chunk.length);
      position += chunk.length;
      yield chunk;
    }
  }

  async #admit(
    kind: OriginCall['kind'],
    { url, headers, credentials, pinned, authorities }: OriginRequest,
    range: ByteRange | undefined,
    signal: AbortSignal,
  ): Promise<{ call: OriginCall; content: OriginContent }> {
    signal.throwIfAborted();
    const call: OriginCall = { kind, url, range, headers, credentials: Object.keys(credentials), pinned, authorities };
    this.calls.push(call);
    await this.onCall(call, { signal });
    signal.throwIfAborted();
    const content = this.#contents.get(url);
    if (content === undefined) throw new OriginStatusError(url, 404, {});
    if (content.authorization !== undefined && credentials['authorization']?.reveal() !== content.authorization) {
      throw new OriginStatusError(url, 401, { 'www-authenticate': 'Basic realm="test"' });
    }
    return { call, content };
  }
}
