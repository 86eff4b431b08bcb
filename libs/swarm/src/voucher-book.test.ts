import { describe, expect, it } from '@jest/globals';
import { VoucherBook } from './voucher-book.ts';

const GRID = { contentLength: 1000, pieceLength: 100 };
const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const voucher = (pieceNumber: number, sha256 = A) => ({ pieceNumber, sha256 });

describe('VoucherBook', () => {
  it('keeps vouchers in the order in which they came, and tells what is news', () => {
    const book = new VoucherBook();
    expect(book.add('task', 'seed', GRID, [voucher(1), voucher(0)], 0)).toBe(2);
    expect(book.add('task', 'seed', GRID, [voucher(1), voucher(2)], 0)).toBe(1);
    const log = book.of('task', 0);
    expect(log?.read(0, 2)).toEqual({
      ...GRID,
      vouchers: [
        { ...voucher(1), hostId: 'seed' },
        { ...voucher(0), hostId: 'seed' },
      ],
      next: 2,
    });
    expect(log?.read(2, 2)).toMatchObject({ vouchers: [{ pieceNumber: 2 }], next: 3 });
    expect(book.hasVouched('seed', 'task', 2)).toBe(true);
    expect(book.hasVouched('seed', 'task', 3)).toBe(false);
    expect(book.hasVouched('other', 'task', 2)).toBe(false);
  });

  it('keeps both of two that contradict each other, also when one host says both', () => {
    const book = new VoucherBook();
    book.add('task', 'seed', GRID, [voucher(0)], 0);
    book.add('task', 'liar', GRID, [voucher(0, B)], 0);
    book.add('task', 'seed', GRID, [voucher(0, B)], 0);
    const { vouchers = [] } = book.of('task', 0)?.read(0, 10) ?? {};
    expect(vouchers.map(({ hostId, sha256 }) => [hostId, sha256])).toEqual([
      ['seed', A],
      ['liar', B],
      ['seed', B],
    ]);
  });

  it('never mixes grids in one run', () => {
    const book = new VoucherBook();
    const other = { contentLength: 999, pieceLength: 100 };
    book.add('task', 'seed', GRID, [voucher(0)], 0);
    book.add('task', 'liar', other, [voucher(0)], 0);
    expect(book.of('task', 0)?.read(0, 10)).toMatchObject({ ...GRID, next: 1 });
    expect(book.of('task', 0)?.read(1, 10)).toMatchObject({ ...other, next: 2 });
  });

  it('takes neither pieces outside of the grid nor impossible grids', () => {
    const book = new VoucherBook();
    expect(book.add('task', 'seed', GRID, [voucher(10)], 0)).toBe(0);
    expect(book.taskCount).toBe(0);
    expect(() => book.add('task', 'seed', { contentLength: 2 ** 40, pieceLength: 1 }, [voucher(0)], 0)).toThrow();
  });

  it('is bounded per task, in hosts and in total; the task out of use for longest makes room', () => {
    const book = new VoucherBook({ maxPerTask: 3, maxHostsPerTask: 2, maxVouchers: 5 });
    expect(
      book.add(
        'first',
        'a',
        GRID,
        [0, 1, 2, 3].map((number) => voucher(number)),
        0,
      ),
    ).toBe(3);
    expect(book.add('second', 'a', GRID, [voucher(0)], 1)).toBe(1);
    expect(book.add('second', 'b', GRID, [voucher(0, B)], 1)).toBe(1);
    expect(book.add('second', 'c', GRID, [voucher(0, B)], 1)).toBe(0);
    expect(book.size).toBe(5);
    book.of('first', 2);
    book.add('third', 'a', GRID, [voucher(0)], 3);
    expect(book.of('second', 3)).toBeUndefined();
    expect(book.of('first', 3)?.size).toBe(3);
    expect(book.size).toBe(4);
  });

  it('takes back what a host said, and keeps what others said', () => {
    const book = new VoucherBook();
    book.add('task', 'seed', GRID, [voucher(0)], 0);
    book.add('task', 'liar', GRID, [voucher(0, B), voucher(1, B)], 0);
    book.add('lies', 'liar', GRID, [voucher(0, B)], 0);
    const before = book.of('task', 0);
    book.retract('liar');
    expect(book.of('task', 0)).not.toBe(before);
    expect(book.of('task', 0)?.read(0, 10).vouchers).toEqual([{ ...voucher(0), hostId: 'seed' }]);
    expect(book.of('lies', 0)).toBeUndefined();
    expect(book.size).toBe(1);
  });

  it('forgets tasks out of use that the swarm does not know', () => {
    const book = new VoucherBook({ ttlMs: 100 });
    book.add('known', 'seed', GRID, [voucher(0)], 0);
    book.add('gone', 'seed', GRID, [voucher(0)], 0);
    book.add('young', 'seed', GRID, [voucher(0)], 50);
    book.expire((taskId) => taskId === 'known', 100);
    expect(book.taskCount).toBe(2);
    expect(book.of('gone', 100)).toBeUndefined();
    book.expire(() => false, 250);
    expect(book.size).toBe(0);
  });

  it('takes no more from one host than its share, and gives it back with what is forgotten', () => {
    const book = new VoucherBook({ maxPerHost: 3, maxVouchers: 4 });
    expect(
      book.add(
        'first',
        'flood',
        GRID,
        [0, 1].map((number) => voucher(number)),
        0,
      ),
    ).toBe(2);
    expect(
      book.add(
        'second',
        'flood',
        GRID,
        [0, 1, 2].map((number) => voucher(number)),
        1,
      ),
    ).toBe(1);
    expect(book.add('second', 'honest', GRID, [voucher(5)], 2)).toBe(1);
    expect(book.add('third', 'honest', GRID, [voucher(0)], 3)).toBe(1);
    // The first task had to go: there is room for two more of that host.
    expect(
      book.add(
        'second',
        'flood',
        GRID,
        [4, 5, 6].map((number) => voucher(number)),
        4,
      ),
    ).toBe(2);
    book.retract('flood');
    expect(
      book.add(
        'second',
        'flood',
        GRID,
        [7, 8, 9].map((number) => voucher(number)),
        5,
      ),
    ).toBe(3);
  });
});
