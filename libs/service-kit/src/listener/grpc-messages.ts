import type { Readable } from 'node:stream';
import { Code, ConnectError } from '@connectrpc/connect';

const PREFIX_BYTES = 5;
/** Where nothing else is said; what claims to be longer is not waited for. */
const DEFAULT_MAX_MESSAGE_BYTES = 16 * 2 ** 20;
/** Messages that may wait for their reader before no more are read. */
const MAX_WAITING = 64;
const NOTHING: Buffer = Buffer.alloc(0);

/** A message with its length before it, uncompressed. */
export function grpcEnvelope(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/** Cuts what a stream brings into messages. One reader; while it does not read, the stream is held back. */
export class GrpcMessages {
  readonly #source: Readable;
  readonly #maxBytes: number;
  readonly #waiting: Buffer[] = [];
  #rest: Buffer = NOTHING;
  /** What came after that and does not complete a message; bytes held in all, and how many the next one needs. */
  #parts: Buffer[] = [];
  #held = 0;
  #needed = 0;
  #reader: PromiseWithResolvers<Buffer | undefined> | undefined;
  #end: { readonly error: unknown } | undefined;

  /** @param maxBytes of one message */
  constructor(source: Readable, maxBytes = DEFAULT_MAX_MESSAGE_BYTES) {
    this.#source = source;
    this.#maxBytes = maxBytes;
    source.on('data', (chunk: Buffer) => this.#read(chunk));
    source.once('end', () =>
      this.fail(
        this.#rest.length === 0 && this.#parts.length === 0
          ? undefined
          : new ConnectError('a message is cut off', Code.InvalidArgument),
      ),
    );
  }

  /** The bytes of the next message; undefined at the end. @throws what the stream failed with */
  next(): Promise<Buffer | undefined> {
    const message = this.#waiting.shift();
    if (message !== undefined) {
      if (this.#source.isPaused() && this.#waiting.length <= MAX_WAITING / 2) this.#source.resume();
      return Promise.resolve(message);
    }
    if (this.#end !== undefined) {
      const { error } = this.#end;
      return error === undefined ? Promise.resolve(undefined) : Promise.reject(error as Error);
    }
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  /** Nothing more is read; the reader gets what is there, then the error, or without one the end. */
  fail(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    const reader = this.#reader;
    this.#reader = undefined;
    if (error === undefined) reader?.resolve(undefined);
    else reader?.reject(error);
    this.#rest = NOTHING;
    this.#parts = [];
    this.#source.resume(); // what still comes is dropped
  }

  #read(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    // A long message is put together once, when all of it is there.
    this.#parts.push(chunk);
    this.#held += chunk.length;
    if (this.#held < this.#needed) return;
    let bytes =
      this.#parts.length === 1 && this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, ...this.#parts]);
    this.#parts = [];
    this.#needed = 0;
    while (bytes.length >= PREFIX_BYTES) {
      const length = bytes.readUInt32BE(1);
      if (bytes[0] !== 0 || length > this.#maxBytes) {
        const problem = bytes[0] === 0 ? `of ${length} bytes is too long` : 'is compressed, which was not agreed';
        this.fail(new ConnectError(`a message ${problem}`, Code.ResourceExhausted));
        return;
      }
      const end = PREFIX_BYTES + length;
      if (bytes.length < end) {
        this.#needed = end;
        break;
      }
      this.#deliver(bytes.subarray(PREFIX_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes.length === 0 ? NOTHING : bytes;
    this.#held = this.#rest.length;
  }

  #deliver(message: Buffer): void {
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve(message);
      return;
    }
    this.#waiting.push(message);
    if (this.#waiting.length >= MAX_WAITING) this.#source.pause();
  }
}
