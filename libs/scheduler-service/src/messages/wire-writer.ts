const WIRE = { varint: 0, lengthDelimited: 2 } as const;
const INITIAL_BYTES = 16 * 1024;
/** A varint of 64 bits. */
const MAX_VARINT_BYTES = 10;
/** Lengths below this take one byte. */
const ONE_BYTE = 0x80;
/** Of a message of gRPC: whether it is compressed, and its length. */
const FRAME_PREFIX_BYTES = 5;

/**
 * Writes messages of the wire format field by field, each after the other into the same memory: for the few that are written many
 * thousand times a second. Fields at their default are left out, as proto3 does.
 */
export class WireWriter {
  #bytes: Buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;

  /** Bytes written since the last `finish`. */
  get length(): number {
    return this.#length;
  }

  /** @returns a copy of what was written; the next message begins */
  finish(): Buffer {
    const message = Buffer.allocUnsafe(this.#length);
    this.#bytes.copy(message, 0, 0, this.#length);
    this.#length = 0;
    return message;
  }

  /** Begins a message of gRPC: its length goes before it. @returns what `endFrame` is told */
  beginFrame(): number {
    this.#room(FRAME_PREFIX_BYTES);
    this.#length += FRAME_PREFIX_BYTES;
    return this.#length;
  }

  endFrame(start: number): void {
    const at = start - FRAME_PREFIX_BYTES;
    this.#bytes[at] = 0;
    this.#bytes.writeUInt32BE(this.#length - start, at + 1);
  }

  /** Fields that are encoded already. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A message in the field that is encoded already, also an empty one. */
  bytes(field: number, value: Uint8Array): void {
    this.#room(2 * MAX_VARINT_BYTES);
    this.#varint(field * 8 + WIRE.lengthDelimited);
    this.#varint(value.length);
    this.raw(value);
  }

  /** @param value a whole number below 2⁵³ */
  number(field: number, value: number): void {
    if (value === 0) return;
    this.#room(2 * MAX_VARINT_BYTES);
    this.#varint(field * 8 + WIRE.varint);
    this.#varint(value);
  }

  flag(field: number, value: boolean): void {
    if (value) this.number(field, 1);
  }

  text(field: number, value: string): void {
    if (value === '') return;
    const most = value.length * 3;
    this.#room(most + 2 * MAX_VARINT_BYTES);
    this.#varint(field * 8 + WIRE.lengthDelimited);
    const prefixAt = this.#length;
    const start = prefixAt + (most < ONE_BYTE ? 1 : MAX_VARINT_BYTES);
    const length = this.#bytes.write(value, start, 'utf8');
    this.#varint(length);
    if (this.#length !== start) this.#bytes.copyWithin(this.#length, start, start + length);
    this.#length += length;
  }

  /** Begins a message in the field, also an empty one. @returns what `end` is told */
  begin(field: number): number {
    this.#room(2 * MAX_VARINT_BYTES);
    this.#varint(field * 8 + WIRE.lengthDelimited);
    return ++this.#length;
  }

  end(start: number): void {
    const length = this.#length - start;
    if (length < ONE_BYTE) {
      this.#bytes[start - 1] = length;
      return;
    }
    // Its length takes more room than was left for it.
    this.#room(MAX_VARINT_BYTES);
    let prefixBytes = 1;
    for (let rest = length; rest >= ONE_BYTE; rest = Math.floor(rest / ONE_BYTE)) prefixBytes++;
    this.#bytes.copyWithin(start - 1 + prefixBytes, start, this.#length);
    this.#length = start - 1;
    this.#varint(length);
    this.#length += length;
  }

  #varint(value: number): void {
    const bytes = this.#bytes;
    let at = this.#length;
    let rest = value;
    while (rest >= ONE_BYTE) {
      bytes[at++] = (rest % ONE_BYTE) + ONE_BYTE;
      rest = Math.floor(rest / ONE_BYTE);
    }
    bytes[at++] = rest;
    this.#length = at;
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
