import type { JobRepository } from '@d7y/manager-db';
import type { Logger, Metrics } from '@d7y/service-kit';
import { Counter, Histogram } from 'prom-client';
import type { EndedJob } from './job-clerk.ts';

const PREFIX = 'dragonfly_manager_';

export interface JobMetricsOptions {
  readonly registry: Metrics['registry'];
  readonly jobs: Pick<JobRepository, 'targetCounts'>;
  readonly logger: Logger;
}

export type JobMetrics = ReturnType<typeof createJobMetrics>;

/** Jobs that were asked for, and what became of them, under the published names where there are some. */
export function createJobMetrics({ registry, jobs, logger }: JobMetricsOptions) {
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> =>
    new Counter({ name: `${PREFIX}${name}`, help, labelNames: [...labelNames], registers: [registry] });
  const asked = counter('create_job_total', 'Jobs that were asked for', ['name']);
  const taken = counter('create_job_success_total', 'Those that were taken in, or were there already', ['name']);
  const ended = counter('job_total', 'Jobs that have ended', ['type', 'state']);
  const targets = counter('preheat_targets_total', 'Layers on hosts, when the preheat ended that was for them', [
    ...(['cluster', 'result'] as const),
  ]);
  const durations = new Histogram({
    name: `${PREFIX}job_duration_seconds`,
    help: 'From the request to the end of a job',
    labelNames: ['type'],
    buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600],
    registers: [registry],
  });
  const countTargets = async (id: number): Promise<void> => {
    for (const { cluster, state, count } of await jobs.targetCounts(id)) targets.inc({ cluster, result: state }, count);
  };
  return {
    submitted(name: string, isTaken: boolean): void {
      asked.inc({ name });
      taken.inc({ name }, Number(isTaken));
    },
    /** Settles when its hosts are counted. Never rejects. */
    async ended({ id, type, state, ageMs }: EndedJob): Promise<void> {
      ended.inc({ type, state });
      durations.observe({ type }, ageMs / 1_000);
      if (type !== 'preheat') return;
      await countTargets(id).catch((error: unknown) =>
        logger.debug({ err: error, jobId: id }, 'the hosts of a preheat are not counted'),
      );
    },
  };
}
