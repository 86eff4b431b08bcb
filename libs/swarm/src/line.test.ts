import { Line } from './line.ts';

const [a, b, c] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];

describe('a line', () => {
  it('keeps the order in which its members came, each once', () => {
    const line = new Line<object>();
    for (const member of [b, b, a, c, a]) line.add(member);
    expect([...line]).toEqual([b, a, c]);
    expect(line.size).toBe(3);
  });

  it('puts who leaves and comes again at its end', () => {
    const line = new Line<object>();
    for (const member of [a, b, c]) line.add(member);
    expect(line.delete(a)).toBe(true);
    line.add(a);
    expect([...line]).toEqual([b, c, a]);
  });

  it('is as it was at first once everybody has left', () => {
    const line = new Line<object>();
    line.add(a);
    line.add(b);
    for (const member of [a, b]) expect(line.delete(member)).toBe(true);
    expect(line.delete(a)).toBe(false);
    expect([line.size, line.has(a), [...line]]).toEqual([0, false, []]);
    line.add(c);
    expect([line.size, line.has(c), [...line]]).toEqual([1, true, [c]]);
  });

  it('shows nobody who left while it was looked at', () => {
    const line = new Line<object>();
    for (const member of [a, b, c]) line.add(member);
    const seen: object[] = [];
    for (const member of line) {
      seen.push(member);
      for (const other of [a, b, c]) line.delete(other);
    }
    expect(seen).toEqual([a]);
  });

  it('can be emptied at once', () => {
    const line = new Line<object>();
    for (const member of [a, b]) line.add(member);
    line.clear();
    expect([line.size, [...line]]).toEqual([0, []]);
    line.add(a);
    line.clear();
    expect(line.size).toBe(0);
  });
});
