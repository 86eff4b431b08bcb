const WIRE = { varint: 0, lengthDelimited: 2 } as const;
const INITIAL_BYTES = 16 * 1024;
/** A varint of 64 bits. */
const MAX_VARINT_BYTES = 10;
/** Lengths below this take one byte. */
const ONE_BYTE = 0x80;

/**
 * Writes messages of the wire format field by field, each after the other into the same memory: for the few that are written many
 * thousand times a second. Fields at their default are left out, as proto3 does.
 */
export class WireWriter {
  #bytes: Buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;

  /** @returns a copy of what was written; the next message begins */
  finish(): Buffer {
    const message = Buffer.from(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return message;
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

  /** A message in the field, also an empty one. */
  message(field: number, write: () => void): void {
    this.#room(2 * MAX_VARINT_BYTES);
    this.#varint(field * 8 + WIRE.lengthDelimited);
    const prefixAt = this.#length++;
    write();
    const start = prefixAt + 1;
    const length = this.#length - start;
    if (length < ONE_BYTE) {
      this.#bytes[prefixAt] = length;
      return;
    }
    // Its length takes more room than was left for it.
    this.#room(MAX_VARINT_BYTES);
    let prefixBytes = 1;
    for (let rest = length; rest >= ONE_BYTE; rest = Math.floor(rest / ONE_BYTE)) prefixBytes++;
    this.#bytes.copyWithin(prefixAt + prefixBytes, start, this.#length);
    this.#length = prefixAt;
    this.#varint(length);
    this.#length += length;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest >= ONE_BYTE) {
      this.#bytes[this.#length++] = (rest % ONE_BYTE) + ONE_BYTE;
      rest = Math.floor(rest / ONE_BYTE);
    }
    this.#bytes[this.#length++] = rest;
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
