import { crc32 } from 'node:zlib';

/** Records are `length (4) · CRC-32 (4) · bytes`, both numbers big-endian, behind a header of eight bytes. */
const HEADER = Buffer.from('d7yswrm\x01', 'latin1');
const PREFIX_BYTES = 8;
const MAX_RECORD_BYTES = 2 ** 20;

/** How a file of records begins: name and version of the format. */
export const FILE_HEADER: Buffer = HEADER;

/** One record as it stands in the file; undefined for what is too long to be kept. */
export function frameRecord(content: Uint8Array): Buffer | undefined {
  if (content.length > MAX_RECORD_BYTES) return undefined;
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + content.length);
  bytes.writeUInt32BE(content.length, 0);
  bytes.writeUInt32BE(crc32(content), 4);
  bytes.set(content, PREFIX_BYTES);
  return bytes;
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
