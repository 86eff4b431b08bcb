import type { Metrics } from '@d7y/service-kit';
import { Gauge } from 'prom-client';
import type { QueueDepth } from './job-queues.ts';

/**
 * Exposes how much waits, is under way and has failed in each queue, asked for when somebody looks. Queues that cannot be asked keep no
 * old figures: they are missing.
 */
export function watchQueues(registry: Metrics['registry'], depths: () => Promise<readonly QueueDepth[]>): void {
  let asked: Promise<readonly QueueDepth[]> | undefined;
  // Both gauges are collected at the same time; the queues are asked once.
  const ask = () =>
    (asked ??= depths()
      .catch(() => [])
      .finally(() => (asked = undefined)));
  new Gauge({
    name: 'bullmq_job_count',
    help: 'Jobs in the queues, by state',
    labelNames: ['queue', 'state'],
    registers: [registry],
    async collect() {
      const all = await ask();
      this.reset();
      for (const { queue, counts } of all)
        for (const [state, count] of Object.entries(counts)) this.set({ queue, state }, count);
    },
  });
  new Gauge({
    name: 'dragonfly_queue_oldest_wait_seconds',
    help: 'How long the first job of a queue has waited for a worker',
    labelNames: ['queue'],
    registers: [registry],
    async collect() {
      const all = await ask();
      this.reset();
      for (const { queue, oldestWaitMs } of all) this.set({ queue }, (oldestWaitMs ?? 0) / 1_000);
    },
  });
}
