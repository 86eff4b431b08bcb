import { describe, expect, it } from '@jest/globals';
import { FILE_HEADER, frameRecord, readRecords } from './record-file.ts';

const TEXTS = ['one', '', 'three'];
const file = Buffer.concat([FILE_HEADER, ...TEXTS.flatMap((text) => frameRecord(Buffer.from(text)) ?? [])]);

describe('readRecords', () => {
  it('finds all records before the byte at which a file was cut off', () => {
    for (let length = 0; length <= file.length; length++) {
      const { records, isWhole } = readRecords(file.subarray(0, length));
      expect(records.map(String)).toEqual(TEXTS.slice(0, records.length));
      if (length === file.length) expect({ count: records.length, isWhole }).toEqual({ count: 3, isWhole: true });
    }
  });

  it('never finds a record that was not written, whichever bit has changed', () => {
    for (let bit = 0; bit < file.length * 8; bit++) {
      const damaged = Buffer.from(file);
      damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const { records, isWhole } = readRecords(damaged);
      expect(isWhole).toBe(false);
      expect(records.map(String)).toEqual(TEXTS.slice(0, records.length));
    }
  });

  it('knows other versions from its own', () => {
    const other = Buffer.from(file);
    other.writeUInt8(2, FILE_HEADER.length - 1);
    expect(readRecords(other)).toEqual({ records: [], isWhole: false });
  });
});

describe('frameRecord', () => {
  it('keeps nothing that would not be read again', () => {
    expect(frameRecord(Buffer.alloc(2 ** 20 + 1))).toBeUndefined();
  });
});
