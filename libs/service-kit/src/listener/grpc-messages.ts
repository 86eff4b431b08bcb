import { Code, ConnectError } from '@connectrpc/connect';
import { FRAME_PREFIX_BYTES } from '../rpc/message-stream.ts';

/** Where nothing else is said; what claims to be longer is not waited for. */
const DEFAULT_MAX_MESSAGE_BYTES = 16 * 2 ** 20;
const NOTHING: Buffer = Buffer.alloc(0);

/** Cuts what a stream brings into messages. */
export class GrpcMessages {
  readonly #maxBytes: number;
  #rest: Buffer = NOTHING;
  /** What came after that and does not complete a message; bytes held in all, and how many the next one needs. */
  #parts: Buffer[] | undefined;
  #held = 0;
  #needed = 0;

  /** @param maxBytes of one message */
  constructor(maxBytes = DEFAULT_MAX_MESSAGE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Hands over every message that is complete with this. @throws {ConnectError} what is no message, or too long a one */
  push(chunk: Buffer, deliver: (message: Buffer) => void): void {
    let bytes = chunk;
    if (this.#held > 0) {
      // A long message is put together once, when all of it is there.
      (this.#parts ??= []).push(chunk);
      this.#held += chunk.length;
      if (this.#held < this.#needed) return;
      bytes = Buffer.concat([this.#rest, ...this.#parts]);
      this.#parts = undefined;
    }
    this.#needed = 0;
    while (bytes.length >= FRAME_PREFIX_BYTES) {
      const length = bytes.readUInt32BE(1);
      if (bytes[0] !== 0 || length > this.#maxBytes) {
        const problem = bytes[0] === 0 ? `of ${length} bytes is too long` : 'is compressed, which was not agreed';
        throw new ConnectError(`a message ${problem}`, Code.ResourceExhausted);
      }
      const end = FRAME_PREFIX_BYTES + length;
      if (bytes.length < end) {
        this.#needed = end;
        break;
      }
      deliver(bytes.subarray(FRAME_PREFIX_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes.length === 0 ? NOTHING : bytes;
    this.#held = this.#rest.length;
  }

  /** Nothing more comes. @throws {ConnectError} a message is cut off */
  end(): void {
    if (this.#held > 0) throw new ConnectError('a message is cut off', Code.InvalidArgument);
  }
}
