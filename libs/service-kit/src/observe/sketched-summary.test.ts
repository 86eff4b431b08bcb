import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { SketchedSummary } from './sketched-summary.ts';

const read = async (registry: Registry): Promise<Map<string, number>> => {
  const lines = (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
};

describe('SketchedSummary', () => {
  it('knows quantiles to a percent, and sum and count as they are', async () => {
    const registry = new Registry();
    const took = new SketchedSummary({ name: 'took', help: 't', percentiles: [0.5, 0.99], registers: [registry] });
    for (let value = 1; value <= 10_000; value++) took.observe(value / 10);
    const values = await read(registry);
    expect((values.get('took{quantile="0.5"}') ?? 0) / 500).toBeCloseTo(1, 1.7);
    expect((values.get('took{quantile="0.99"}') ?? 0) / 990).toBeCloseTo(1, 1.7);
    expect(values.get('took_count')).toBe(10_000);
    expect(values.get('took_sum')).toBeCloseTo(5_000_500);
  });

  it('keeps labels apart, and shows those that were seen', async () => {
    const registry = new Registry();
    const took = new SketchedSummary({
      ...{ name: 'took', help: 't', percentiles: [0.5], registers: [registry] },
      labelNames: ['size'],
    });
    took.observe({ size: 'small' }, 1);
    took.observe({ size: 'large' }, 1e15);
    took.observe({ size: 'none' }, 0);
    const values = await read(registry);
    expect(values.get('took_count{size="small"}')).toBe(1);
    expect(values.get('took{quantile="0.5",size="none"}')).toBe(0);
    expect(values.get('took{quantile="0.5",size="large"}')).toBeGreaterThan(9e11);
    expect(values.size).toBe(9);
  });

  it('shows zeros before anything was seen', async () => {
    const registry = new Registry();
    new SketchedSummary({ name: 'took', help: 't', percentiles: [0.9], registers: [registry] });
    expect([...(await read(registry))]).toEqual([
      ['took{quantile="0.9"}', 0],
      ['took_sum', 0],
      ['took_count', 0],
    ]);
  });
});
