import { type Database, JobIntake } from '@d7y/manager-db';
import { JobQueues, type QueueAddress, watchQueues } from '@d7y/preheat-queue';
import type { Logger, Metrics, UpstreamGuard } from '@d7y/service-kit';
import { Counter, Histogram } from 'prom-client';
import type { Jobs } from '../rest/jobs-port.ts';
import { JobClerk } from './job-clerk.ts';
import { JobDesk, type Seal } from './job-desk.ts';

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
  const ended = new Counter({
    name: 'dragonfly_manager_job_total',
    help: 'Jobs that have ended',
    labelNames: ['type', 'state'],
    registers: [registry],
  });
  const durations = new Histogram({
    name: 'dragonfly_manager_job_duration_seconds',
    help: 'From the request to the end of a job',
    labelNames: ['type'],
    buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600],
    registers: [registry],
  });
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
      onEnd: ({ type, state, ageMs }) => {
        ended.inc({ type, state });
        durations.observe({ type }, ageMs / 1_000);
      },
    }),
  );
  watchQueues(registry, async () => await queues.depths(await clusterIds()));
  clerk.start();
  return {
    jobs: new JobDesk({ intake, sealer, guard, wake: () => clerk.wake() }),
    ping: () => queues.ping(),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
