import { describe, expect, it } from '@jest/globals';
import { interleave } from './interleave.ts';

const GIB = 2 ** 30;
const transfer = (seconds: number, cpu: number) => ({ bytes: GIB, seconds, cpuSeconds: { sender: cpu } });

describe('interleave', () => {
  it('leaves the first pair out and takes the median of the ratios of neighbours', async () => {
    const ours = [9, 2, 4, 8];
    const theirs = [1, 1, 3, 2];
    const result = await interleave(
      3,
      (run) => Promise.resolve(transfer(ours[run] as number, 1)),
      (run) => Promise.resolve(transfer(theirs[run] as number, 0.5)),
    );
    expect(result.ratio).toEqual({ median: 0.5, min: 0.25, max: 0.75 });
    expect(result.ours.rate).toEqual({ median: 256, min: 128, max: 512 });
  });

  it('sums processor time of each side over all runs', async () => {
    const cpu = [9, 1, 2, 6];
    const result = await interleave(
      3,
      (run) => Promise.resolve(transfer(1, cpu[run] as number)),
      () => Promise.resolve(transfer(1, 0)),
    );
    expect(result.ours.cpuSecondsPerGib).toEqual({ sender: 3 });
  });

  it('lets the two take turns in going first', async () => {
    const order: string[] = [];
    const note = (name: string) => () => {
      order.push(name);
      return Promise.resolve(transfer(1, 1));
    };
    await interleave(2, note('ours'), note('theirs'));
    expect(order).toEqual(['ours', 'theirs', 'theirs', 'ours', 'ours', 'theirs']);
  });
});
