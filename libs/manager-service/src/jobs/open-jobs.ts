import { type Database, JobIntake, JobRepository } from '@d7y/manager-db';
import { JobQueues, type QueueAddress, watchQueues } from '@d7y/preheat-queue';
import type { Logger, Metrics, UpstreamGuard } from '@d7y/service-kit';
import type { Jobs } from '../rest/jobs-port.ts';
import { JobClerk } from './job-clerk.ts';
import { JobDesk, type Seal } from './job-desk.ts';
import { createJobMetrics } from './job-metrics.ts';

export interface OpenJobsOptions {
  readonly database: Database;
  readonly sealer: Seal;
  readonly address: QueueAddress;
  /** What preheats may name: the same rules as the workers have. */
  readonly guard: UpstreamGuard;
  readonly logger: Logger;
  readonly registry: Metrics['registry'];
  /** Whose queues are counted in the metrics. */
  readonly clusterIds: () => Promise<readonly number[]>;
  readonly signal: AbortSignal;
  /** For tests; see JobClerk. */
  readonly sweepIntervalMs?: number;
  readonly compareIntervalMs?: number;
}

/** Jobs of a manager at work. */
export interface OpenJobs extends AsyncDisposable {
  readonly jobs: Jobs;
  /** Whether the queue answers. @throws {QueueUnavailableError} */
  ping(): Promise<void>;
}

/** Begins to take jobs in and to carry them to the queue and back. A queue that is away delays jobs, and stops nothing else. */
export function openJobs(options: OpenJobsOptions): OpenJobs {
  const { database, sealer, address, guard, logger, registry, clusterIds, signal } = options;
  const stack = new AsyncDisposableStack();
  const intake = new JobIntake(database);
  const queues = stack.use(new JobQueues({ address, logger }));
  const metrics = createJobMetrics({ registry, logger, jobs: new JobRepository(database.db) });
  const clerk = stack.use(
    new JobClerk({
      ...{
        intake,
        queues,
        logger,
        signal,
        sweepIntervalMs: options.sweepIntervalMs,
        compareIntervalMs: options.compareIntervalMs,
      },
      onEnd: (job) => void metrics.ended(job),
    }),
  );
  watchQueues(registry, async () => await queues.depths(await clusterIds()));
  clerk.start();
  return {
    jobs: new JobDesk({
      intake,
      sealer,
      guard,
      wake: () => clerk.wake(),
      onSubmit: (type, isTaken) => metrics.submitted(type, isTaken),
    }),
    ping: () => queues.ping(),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
