import { createLayout } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import { Progress } from './progress.ts';
import { MemoryTaskStore } from './testing/index.ts';

const MIB = 2 ** 20;

async function progressOf(pieces: number): Promise<Progress> {
  const layout = createLayout(pieces * MIB, MIB);
  const task = { taskId: 'task', url: 'http://origin.test/x', layout, digest: undefined };
  const progress = new Progress(await new MemoryTaskStore().create({ ...task, responseHeaders: {}, isPrivate: false }));
  progress.want({ start: 0, length: pieces * MIB });
  return progress;
}

/** Fetches these pieces, as long as they are in the set. */
const holderOf = (...pieces: number[]) => {
  const fetching = new Set(pieces);
  return { fetching, isFetching: (number: number) => fetching.has(number) };
};

describe('claims', () => {
  it('are given back by their holder alone', async () => {
    const progress = await progressOf(2);
    const [one, other] = [holderOf(0), holderOf(0)];
    expect(progress.claim(0, one)).toBe(true);
    expect(progress.claim(0, other)).toBe(false);
    progress.unclaim(0, other);
    expect([...progress.missing()]).toEqual([1]);
    progress.handOver(0, other);
    progress.unclaim(0, one);
    expect([...progress.missing()]).toEqual([1]);
    progress.unclaim(0, other);
    expect([...progress.missing()]).toEqual([0, 1]);
  });

  it('that their holders know nothing of are taken back, and no others', async () => {
    const progress = await progressOf(3);
    const holder = holderOf(0, 1);
    progress.claim(0, holder);
    progress.claim(1, holder);
    expect(progress.reclaim()).toEqual([]);
    holder.fetching.delete(1);
    expect(progress.reclaim()).toEqual([1]);
    expect([...progress.missing()]).toEqual([1, 2]);
  });
});
