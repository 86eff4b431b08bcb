import { crc32 } from 'node:zlib';

/** Records are `length (4) · CRC-32 (4) · bytes`, both numbers big-endian, behind a header of eight bytes. */
const HEADER = Buffer.from('d7yswrm\x01', 'latin1');
const PREFIX_BYTES = 8;
const MAX_RECORD_BYTES = 2 ** 20;

/** How a file of records begins: name and version of the format. */
export const FILE_HEADER: Buffer = HEADER;

/** What a record says: bytes, or text that is written as UTF-8. */
export type RecordContent = Uint8Array | string;

const FIRST_BYTES = 16 * 1024;
/** Of UTF-8 for a character of a string. */
const MAX_CHARACTER_BYTES = 3;

/** Records one after the other, as they stand in the file. */
export class RecordBuffer {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** @returns whether it was added: what is too long is not kept */
  add(content: RecordContent): boolean {
    const most = typeof content === 'string' ? content.length * MAX_CHARACTER_BYTES : content.length;
    if (most > MAX_RECORD_BYTES) return false;
    this.#room(PREFIX_BYTES + most);
    const start = this.#length + PREFIX_BYTES;
    const length = typeof content === 'string' ? this.#bytes.write(content, start) : content.length;
    if (typeof content !== 'string') this.#bytes.set(content, start);
    this.#bytes.writeUInt32BE(length, this.#length);
    this.#bytes.writeUInt32BE(crc32(this.#bytes.subarray(start, start + length)), this.#length + 4);
    this.#length = start + length;
    return true;
  }

  /** All that was added since the last time. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    return taken;
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, this.#bytes.length * 2, this.#length + bytes));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

/** What a file holds up to the first damage. */
export interface FoundRecords {
  readonly records: readonly Buffer[];
  /** It ends as it should. */
  readonly isWhole: boolean;
}

/** Cuts a file into its records. Another version, or no header, is damage from the first byte on. */
export function readRecords(file: Buffer): FoundRecords {
  const records: Buffer[] = [];
  if (!file.subarray(0, HEADER.length).equals(HEADER)) return { records, isWhole: false };
  let at = HEADER.length;
  while (file.length - at >= PREFIX_BYTES) {
    const length = file.readUInt32BE(at);
    const start = at + PREFIX_BYTES;
    if (length > MAX_RECORD_BYTES || start + length > file.length) break;
    const content = file.subarray(start, start + length);
    if (crc32(content) !== file.readUInt32BE(at + 4)) break;
    records.push(content);
    at = start + length;
  }
  return { records, isWhole: at === file.length };
}
