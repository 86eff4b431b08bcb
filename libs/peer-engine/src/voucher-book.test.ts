import { describe, expect, it } from '@jest/globals';
import { createLayout } from '@d7y/piece';
import { VoucherBook } from './voucher-book.ts';

const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];
const LAYOUT = createLayout(10_000, 4096);
const GRID = { contentLength: 10_000, pieceLength: 4096 };

function bookOf({ liars = [] as string[] } = {}) {
  const book = new VoucherBook(LAYOUT, (hostId) => !liars.includes(hostId));
  const say = (hostId: string, pieceNumber: number, sha256: string) =>
    book.add({ ...GRID, vouchers: [{ pieceNumber, sha256, hostId }] });
  return { book, say, liars };
}

describe('VoucherBook', () => {
  it('believes a digest for which one or several hosts vouch', () => {
    const { book, say } = bookOf();
    expect(book.sha256Of(1)).toBeUndefined();
    expect(say('seed', 1, A)).toEqual([1]);
    expect(say('other', 1, A)).toEqual([1]);
    expect(book.sha256Of(1)).toBe(A);
    expect(book.sha256Of(0)).toBeUndefined();
  });

  it('tells only of what is new', () => {
    const { say } = bookOf();
    expect(say('seed', 1, A)).toEqual([1]);
    expect(say('seed', 1, A)).toEqual([]);
  });

  it('believes neither of two that contradict each other, also when both come from one host', () => {
    const { book, say } = bookOf();
    say('seed', 0, A);
    say('other', 0, B);
    say('seed', 1, A);
    say('seed', 1, B);
    expect([book.sha256Of(0), book.sha256Of(1)]).toEqual([undefined, undefined]);
  });

  it('does not count the word of a host that proved dishonest, from then on and backwards', () => {
    const { book, say, liars } = bookOf();
    say('seed', 0, A);
    say('other', 0, B);
    liars.push('other');
    expect(book.sha256Of(0)).toBe(A);
    liars.push('seed');
    expect(book.sha256Of(0)).toBeUndefined();
  });

  it('has no use for vouchers of another grid, of pieces that cannot be, and for what is no digest', () => {
    const { book, say } = bookOf();
    expect(book.add({ ...GRID, pieceLength: 1000, vouchers: [{ pieceNumber: 0, sha256: A, hostId: 'x' }] })).toEqual(
      [],
    );
    expect(book.add({ ...GRID, contentLength: 1, vouchers: [{ pieceNumber: 0, sha256: A, hostId: 'x' }] })).toEqual([]);
    for (const number of [3, -1, 0.5, NaN]) expect(say('x', number, A)).toEqual([]);
    for (const sha256 of ['', A.toUpperCase(), `${A}0`]) expect(say('x', 0, sha256)).toEqual([]);
    expect(book.knows(0)).toBe(false);
  });

  it('lets doubt and distrust be cast', () => {
    const { book, say } = bookOf();
    say('seed', 0, A);
    say('seed', 1, A);
    book.dispute(0);
    expect([book.sha256Of(0), book.sha256Of(1)]).toEqual([undefined, A]);
    book.void();
    expect(book.sha256Of(1)).toBeUndefined();
  });

  it('finds everybody who vouched for something else than the truth, once each', () => {
    const { book, say } = bookOf();
    say('good', 0, A);
    say('bad', 0, B);
    say('bad', 1, C);
    say('worse', 1, B);
    say('unknown', 2, C);
    const truth = [A, A, undefined];
    expect([...book.falseVouchers((number) => truth[number])]).toEqual([
      ['bad', 0],
      ['worse', 1],
    ]);
  });

  it('stays small however much is said', () => {
    const { book, say } = bookOf();
    for (let n = 0; n < 1000; n++) say(`host-${n}`, 0, n.toString(16).padStart(64, '0'));
    for (let n = 0; n < 1000; n++) say(`host-${n}`, 1, A);
    expect(book.falseVouchers(() => B).size).toBeLessThanOrEqual(20);
  });
});
