import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseContentRange, parseRangeHeader, toContentRangeHeader, toRangeHeader } from './byte-range.ts';

const one = (start: number, length: number) => ({ kind: 'ranges', ranges: [{ start, length }] });

/** Some content and a range that lies within it. */
const rangeWithin = fc
  .tuple(fc.nat(2 ** 40), fc.nat(2 ** 40), fc.nat(2 ** 40))
  .map(([start, more, rest]) => ({ range: { start, length: more + 1 }, contentLength: start + more + 1 + rest }));

describe('parseRangeHeader', () => {
  it.each([
    ['bytes=0-0', one(0, 1)],
    ['bytes=0-99', one(0, 10)],
    ['bytes=3-', one(3, 7)],
    ['bytes=-3', one(7, 3)],
    ['bytes=-99', one(0, 10)],
    ['Bytes=2-3', one(2, 2)],
    [' bytes= 2-3 , ', one(2, 2)],
    ['bytes=9-9,20-30', one(9, 1)],
    [
      'bytes=0-1,4-5',
      {
        kind: 'ranges',
        ranges: [
          { start: 0, length: 2 },
          { start: 4, length: 2 },
        ],
      },
    ],
    ['bytes=10-', { kind: 'unsatisfiable' }],
    ['bytes=10-12,11-', { kind: 'unsatisfiable' }],
    ['bytes=-0', { kind: 'unsatisfiable' }],
    [`bytes=${'9'.repeat(400)}-`, { kind: 'unsatisfiable' }],
    [`bytes=0-${'9'.repeat(400)}`, one(0, 10)],
    [undefined, { kind: 'whole' }],
    ['', { kind: 'whole' }],
    ['bytes=', { kind: 'whole' }],
    ['bytes=-', { kind: 'whole' }],
    ['bytes=5-4', { kind: 'whole' }],
    ['bytes=1-2,x', { kind: 'whole' }],
    ['bytes=0x1-2', { kind: 'whole' }],
    ['items=0-1', { kind: 'whole' }],
    [`bytes=${Array(129).fill('0-0').join()}`, { kind: 'whole' }],
  ])('reads %j of ten bytes', (header, expected) => {
    expect(parseRangeHeader(header, 10)).toEqual(expected);
  });

  it('finds nothing in empty content', () => {
    for (const header of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) {
      expect(parseRangeHeader(header, 0)).toEqual({ kind: 'unsatisfiable' });
    }
  });

  it('reads what toRangeHeader writes', () => {
    fc.assert(
      fc.property(rangeWithin, ({ range, contentLength }) => {
        expect(parseRangeHeader(toRangeHeader(range), contentLength)).toEqual({ kind: 'ranges', ranges: [range] });
      }),
    );
  });

  it('never leaves the content, whatever the header says', () => {
    const spec = fc
      .tuple(fc.option(fc.nat(), { nil: '' }), fc.option(fc.nat(), { nil: '' }))
      .map(([a, b]) => `${a}-${b}`);
    const header = fc.oneof(
      fc.string(),
      fc.array(spec, { minLength: 1, maxLength: 5 }).map((specs) => `bytes=${specs.join(',')}`),
    );
    fc.assert(
      fc.property(header, fc.nat(), (text, contentLength) => {
        const request = parseRangeHeader(text, contentLength);
        if (request.kind !== 'ranges') return;
        for (const { start, length } of request.ranges) {
          expect(start).toBeGreaterThanOrEqual(0);
          expect(length).toBeGreaterThan(0);
          expect(start + length).toBeLessThanOrEqual(contentLength);
        }
      }),
    );
  });
});

describe('parseContentRange', () => {
  it('reads what toContentRangeHeader writes', () => {
    fc.assert(
      fc.property(rangeWithin, ({ range, contentLength }) => {
        expect(parseContentRange(toContentRangeHeader(range, contentLength))).toEqual({ range, total: contentLength });
      }),
    );
  });

  it.each([
    ['bytes 0-4/*', { range: { start: 0, length: 5 } }],
    ['bytes */10', { total: 10 }],
    ['BYTES 0-9/10', { range: { start: 0, length: 10 }, total: 10 }],
    ['bytes */*', undefined],
    ['bytes 5-4/10', undefined],
    ['bytes 0-10/10', undefined],
    ['bytes 0-4', undefined],
    ['items 0-4/5', undefined],
    [`bytes 0-4/${'9'.repeat(30)}`, undefined],
    [`bytes 0-${'9'.repeat(30)}/*`, undefined],
    ['', undefined],
    [undefined, undefined],
  ])('reads %j', (header, expected) => {
    expect(parseContentRange(header)).toEqual(expected);
  });
});
