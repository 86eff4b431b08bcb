import type { OutgoingHttpHeaders } from 'node:http';
import type { TaskStream } from '@d7y/peer-engine';
import { type ByteRange, toContentRangeHeader, toRangeHeader } from '@d7y/piece';

/** Bytes as a front end takes them from a task. */
export type Deliverable = Pick<TaskStream, 'deliver'>;

/** An answer 206 with several ranges (multipart/byteranges, RFC 9110 §14.6). */
export class MultipartRanges {
  readonly #parts: readonly ByteRange[];
  readonly #heads: readonly Buffer[];
  readonly #tail: Buffer;
  readonly #boundary: string;

  /**
   * @param boundary up to 70 letters and digits that the content does not contain
   * @param contentType of the content itself
   */
  constructor(
    parts: readonly ByteRange[],
    about: { readonly contentLength: number; readonly contentType: string | undefined; readonly boundary: string },
  ) {
    const { contentLength, contentType, boundary } = about;
    const type = contentType === undefined ? '' : `Content-Type: ${contentType}\r\n`;
    this.#parts = parts;
    this.#boundary = boundary;
    this.#heads = parts.map((part) =>
      Buffer.from(
        `\r\n--${boundary}\r\n${type}Content-Range: ${toContentRangeHeader(part, contentLength)}\r\n\r\n`,
        'latin1',
      ),
    );
    this.#tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  }

  /** Headers of the answer, given those of one range. */
  headers(ofOneRange: OutgoingHttpHeaders): OutgoingHttpHeaders {
    const { 'content-range': _, ...headers } = ofOneRange;
    return {
      ...headers,
      'content-type': `multipart/byteranges; boundary=${this.#boundary}`,
      'content-length': this.bytes,
    };
  }

  /** Length of the body. */
  get bytes(): number {
    const heads = this.#heads.reduce((sum, head) => sum + head.length, 0);
    return heads + this.#parts.reduce((sum, { length }) => sum + length, 0) + this.#tail.length;
  }

  /**
   * The body. The next range is opened while one is delivered, so that its bytes are on their way.
   * @param first open for the first range; left to its owner
   * @param open opens the task for another range, given as a header
   * @param deliverableOf what is delivered of an opened task
   */
  body(
    first: TaskStream,
    open: (rangeHeader: string) => Promise<TaskStream>,
    deliverableOf: (stream: TaskStream) => Deliverable,
  ): Deliverable {
    return {
      deliver: async (write) => {
        let next: Promise<TaskStream> | undefined;
        try {
          for (const [index, head] of this.#heads.entries()) {
            const current: TaskStream = next === undefined ? first : await next;
            await using owned = next === undefined ? undefined : current;
            const following = this.#parts[index + 1];
            next = following && open(toRangeHeader(following));
            next?.catch(() => undefined); // heard when its turn comes, if it comes
            await write(head);
            await deliverableOf(owned ?? current).deliver(write);
          }
          await write(this.#tail);
        } finally {
          // Opened, but its turn never came.
          void next?.then(
            (stream) => stream[Symbol.asyncDispose](),
            () => undefined,
          );
        }
      },
    };
  }
}
