const ONE_BYTE = 0x80;
/** A number of more bytes is beyond 2⁵³. */
const MAX_NUMBER_BYTES = 7;
const REPLACEMENT = '\ufffd';

/** Something that is better read by the general decoder. */
export class UnusualMessage extends Error {
  override readonly name = 'UnusualMessage';
}

/** Thrown as it is: nobody looks at its stack. */
const UNUSUAL = new UnusualMessage('not of the usual kind');

/** Leaves a message to the general decoder. */
export function unusual(): never {
  throw UNUSUAL;
}

/** Reads a message of the wire format field by field: for the few that come many thousand times a second. Methods throw what is unusual. */
export class WireReader {
  readonly #bytes: Buffer;
  #at: number;
  #end: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#at = 0;
    this.#end = bytes.length;
  }

  /** There is another field in the present message. */
  get hasMore(): boolean {
    return this.#at < this.#end;
  }

  /** Field number and wire type, and numbers below 2⁴⁹. */
  number(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MAX_NUMBER_BYTES; count++) {
      const byte = this.#at < this.#end ? this.#bytes[this.#at++] : undefined;
      if (byte === undefined) return unusual();
      if (byte < ONE_BYTE) return value + byte * scale;
      value += (byte - ONE_BYTE) * scale;
      scale *= ONE_BYTE;
    }
    return unusual();
  }

  /** A number of 32 bits. */
  uint32(): number {
    const value = this.number();
    return value <= 0xffff_ffff ? value : unusual();
  }

  /** A number of 32 bits that is not negative, where one could be. */
  int32(): number {
    const value = this.number();
    return value <= 0x7fff_ffff ? value : unusual();
  }

  flag(): boolean {
    return this.number() !== 0;
  }

  text(): string {
    const start = this.#skip();
    const text = this.#bytes.toString('utf8', start, this.#at);
    // What stands for bytes that are no UTF-8 may also have been sent: the general decoder tells.
    return text.includes(REPLACEMENT) ? unusual() : text;
  }

  /** The bytes as characters of the same codes: they take no more memory than that, and need not be copied again to be kept. */
  characters(): string {
    const start = this.#skip();
    return this.#bytes.toString('latin1', start, this.#at);
  }

  /** A copy. */
  bytes(): Uint8Array<ArrayBuffer> {
    const start = this.#skip();
    return new Uint8Array(this.#bytes.subarray(start, this.#at));
  }

  /** Reads a message in a field. */
  message<T>(read: (reader: this) => T): T {
    const start = this.#skip();
    const outer = this.#end;
    const end = this.#at;
    this.#at = start;
    this.#end = end;
    const message = read(this);
    this.#at = end;
    this.#end = outer;
    return message;
  }

  /** @returns where the bytes of a field begin; goes to their end */
  #skip(): number {
    const length = this.number();
    const start = this.#at;
    if (length > this.#end - start) return unusual();
    this.#at = start + length;
    return start;
  }
}
