import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { TalliedCounter } from './tallied-counter.ts';

const lines = async (registry: Registry): Promise<string[]> =>
  (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe('TalliedCounter', () => {
  it('shows what was counted by the time that it is read, each time once', async () => {
    const registry = new Registry();
    const counter = new TalliedCounter({
      name: 'seen_total',
      help: 'seen',
      labelNames: ['kind'],
      registers: [registry],
    });
    const small = counter.tally({ kind: 'small' });
    const large = counter.tally({ kind: 'large' });
    small();
    small(2);
    counter.inc({ kind: 'large' }, 4);
    expect(await lines(registry)).toEqual(['seen_total{kind="large"} 4', 'seen_total{kind="small"} 3']);
    large();
    expect(await lines(registry)).toEqual(['seen_total{kind="large"} 5', 'seen_total{kind="small"} 3']);
  });

  it('needs no labels, and shows none that nothing was counted for', async () => {
    const registry = new Registry();
    const plain = new TalliedCounter({ name: 'plain_total', help: 'plain', registers: [registry] });
    const labelled = new TalliedCounter({
      name: 'kinds_total',
      help: 'k',
      labelNames: ['kind'],
      registers: [registry],
    });
    labelled.tally({ kind: 'never' });
    const count = plain.tally();
    expect(await lines(registry)).toEqual(['plain_total 0']);
    count();
    expect(await lines(registry)).toEqual(['plain_total 1']);
  });
});
