import { describe, expect, it } from '@jest/globals';
import { FILE_HEADER, readRecords, RecordBuffer } from './record-file.ts';
import type { RecordContent } from './record-file.ts';

const TEXTS = ['one', '', 'three'];
const fileOf = (contents: readonly RecordContent[]): Buffer => {
  const records = new RecordBuffer();
  for (const content of contents) records.add(content);
  return Buffer.concat([FILE_HEADER, records.take()]);
};
const file = fileOf(TEXTS.map((text) => Buffer.from(text)));

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

describe('RecordBuffer', () => {
  it('keeps nothing that would not be read again', () => {
    const records = new RecordBuffer();
    expect(records.add(Buffer.alloc(2 ** 20 + 1))).toBe(false);
    expect(records.length).toBe(0);
  });

  it('writes text and bytes alike, and grows with them', () => {
    const texts = ['grüße', '', 'x'.repeat(100_000), 'end'];
    expect(fileOf(texts)).toEqual(fileOf(texts.map((text) => Buffer.from(text))));
    const { records, isWhole } = readRecords(fileOf(texts));
    expect({ texts: records.map(String), isWhole }).toEqual({ texts, isWhole: true });
  });

  it('begins anew once it was taken', () => {
    const records = new RecordBuffer();
    records.add('one');
    const first = records.take();
    records.add('two');
    expect(readRecords(Buffer.concat([FILE_HEADER, first, records.take()])).records.map(String)).toEqual([
      'one',
      'two',
    ]);
  });
});
