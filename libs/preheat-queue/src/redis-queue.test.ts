import { createLogger, Secret } from '@d7y/service-kit';
import { eventually, startRedisServer } from '@d7y/testkit';
import { describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { queueConformance } from './_queue-conformance.ts';
import { JobQueues, jobReportOf, QueueWorkers } from './index.ts';

const PASSWORD = 'planted';
const logger = createLogger({ name: 'test', level: 'fatal' });

queueConformance('Redis', async () => {
  const server = await startRedisServer({ isPersistent: true, password: PASSWORD });
  return {
    address: { kind: 'redis', addrs: [server.addr], password: new Secret(PASSWORD), db: 2 },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

describe('both ends of the queue on Redis', () => {
  it('leave no connection behind', async () => {
    await using server = await startRedisServer();
    const address = { kind: 'redis', addrs: [server.addr] } as const;
    await using stack = new AsyncDisposableStack();
    const watcher = stack.adopt(new Redis(server.port), (redis) => redis.disconnect());
    const others = async () =>
      String(await watcher.client('LIST'))
        .split('\n')
        .filter(Boolean).length - 1;
    {
      await using queues = new JobQueues({ address, logger });
      await using workers = new QueueWorkers({ address, logger });
      queues.onEnded(() => undefined);
      workers.workOnJobs('jobs', () => Promise.resolve({ kind: 'done', report: jobReportOf('SUCCESS') }), 1);
      await Promise.all([queues.ping(), workers.ready()]);
      expect(await others()).toBeGreaterThan(0);
    }
    await eventually(async () => expect(await others()).toBe(0), { timeoutMs: 10_000 });
  });
});
