import { describe, expect, it } from '@jest/globals';
import { createLogger } from '@d7y/service-kit';
import { factsOf, NOW_MS } from './_facts.ts';
import type { ClusterFacts } from './cluster-facts.ts';
import { ClusterWatch } from './cluster-watch.ts';

const logger = createLogger({ name: 'test', level: 'silent' });

class FakeSource {
  facts: ClusterFacts = factsOf([{ id: 1 }]);
  reads = 0;
  isBroken = false;
  /** Held back, where it is set. */
  gate: Promise<void> | undefined;
  async version(): Promise<number> {
    if (this.isBroken) throw new Error('no database');
    return this.facts.version;
  }
  async read(): Promise<ClusterFacts> {
    if (this.isBroken) throw new Error('no database');
    this.reads++;
    const { facts } = this;
    await this.gate;
    return facts;
  }
}

async function start() {
  const source = new FakeSource();
  const time = { nowMs: NOW_MS };
  const watch = await ClusterWatch.start({ source, clock: () => time.nowMs, logger, intervalMs: 1 });
  return { source, watch, time };
}

describe('ClusterWatch', () => {
  it('reads again when the version has changed, not before', async () => {
    const { source, watch } = await start();
    await watch.check();
    expect(source.reads).toBe(1);
    source.facts = factsOf([{ id: 1 }, { id: 2 }], 2);
    await watch.check();
    expect([...watch.view.clusters.keys()]).toEqual([1, 2]);
  });

  it('sees without any change that somebody has gone', async () => {
    const { watch, time } = await start();
    expect(watch.view.isActive({ activeUntilMs: NOW_MS + 1 })).toBe(true);
    const scheduler = watch.view.clusters.get(1)?.schedulers[0] ?? { activeUntilMs: undefined };
    expect(watch.view.isActive(scheduler)).toBe(true);
    time.nowMs += 15_000;
    await watch.check();
    expect(watch.view.isActive(scheduler)).toBe(false);
  });

  it('shares a reading only with those who asked before it began', async () => {
    const { source, watch } = await start();
    const { promise, resolve } = Promise.withResolvers<void>();
    source.gate = promise;
    const first = watch.refresh();
    await new Promise((turn) => setImmediate(turn));
    source.facts = factsOf([{ id: 5 }], 2);
    const others = [watch.refresh(), watch.refresh()];
    resolve();
    expect([...(await first).clusters.keys()]).toEqual([1]);
    for (const view of await Promise.all(others)) expect([...view.clusters.keys()]).toEqual([5]);
    expect(source.reads).toBe(3);
  });

  it('keeps what it has while the database is away', async () => {
    const { source, watch } = await start();
    const over = new AbortController();
    source.isBroken = true;
    const running = watch.run({ signal: over.signal });
    while (!watch.isFailing) await new Promise((turn) => setImmediate(turn));
    expect(watch.view.clusters.size).toBe(1);
    source.facts = factsOf([{ id: 1 }, { id: 2 }], 9);
    source.isBroken = false;
    while (watch.isFailing || watch.view.clusters.size < 2) await new Promise((turn) => setImmediate(turn));
    over.abort();
    await running;
  });
});
