import { DfError } from '@d7y/piece';
import { createLogger } from '@d7y/service-kit';
import { eventually } from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Advance, JobMessage, LayerMessage, QueueAddress, Run } from './index.ts';
import { JobCancelledError, JobQueues, jobReportOf, QueueWorkers } from './index.ts';

/** A store of queues for one file of tests. */
export interface QueueStore extends AsyncDisposable {
  readonly address: QueueAddress;
}

class TriedInVainError extends DfError {
  override readonly name = 'TriedInVainError';
  readonly code = 'TRIED_IN_VAIN';
  readonly retryable = false;
}

const logger = createLogger({ name: 'test', level: 'fatal' });
const DONE: Advance = { kind: 'done', report: jobReportOf('SUCCESS') };

/** What both kinds of store have to do. */
export function queueConformance(name: string, start: () => Promise<QueueStore>): void {
  let store: QueueStore;
  let queues: JobQueues;
  let lastJob = 0;
  beforeAll(async () => {
    store = await start();
    queues = new JobQueues({ address: store.address, logger });
    await queues.ping();
  }, 60_000);
  afterAll(async () => {
    await queues?.[Symbol.asyncDispose]();
    await store?.[Symbol.asyncDispose]();
  }, 30_000);

  const newJob = (change: Partial<JobMessage> = {}): JobMessage => ({
    ...{ jobId: ++lastJob, attempt: 1, type: 'preheat' },
    ...change,
  });
  const layerOf = (
    { jobId, attempt }: JobMessage,
    number: number,
    change: Partial<LayerMessage> = {},
  ): LayerMessage => ({
    ...{ jobId, attempt, clusterId: 1, taskId: `task${number}`, round: 0 },
    ...change,
  });
  const workers = (): QueueWorkers =>
    new QueueWorkers({ address: store.address, logger, lockMs: 1_000, stalledIntervalMs: 300 });
  const reportOf = async (job: JobMessage) => {
    const found = await eventually(async () => {
      const seen = await queues.look(job);
      if (seen.kind !== 'reported' && seen.kind !== 'failed') throw new Error(`it is ${seen.kind}`);
      return seen;
    });
    return found.kind === 'reported' ? found.report : found.reason;
  };

  describe(`the queue on ${name}`, () => {
    it('does a job once, however often it is put in', async () => {
      await using worker = workers();
      const seen: JobMessage[] = [];
      const job = newJob({ traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` });
      expect((await queues.look(job)).kind).toBe('missing');
      await Promise.all([queues.enqueue(job), queues.enqueue(job), queues.enqueue(job)]);
      worker.workOnJobs('jobs', async (message) => (seen.push(message), DONE), 4);
      expect(await reportOf(job)).toEqual({ outcome: 'SUCCESS' });
      await queues.enqueue(job);
      expect(await reportOf(job)).toEqual({ outcome: 'SUCCESS' });
      expect(seen).toEqual([job]);
    });

    it('goes on with a job when its layers are done, of several clusters, and those that came later', async () => {
      await using worker = workers();
      const job = newJob();
      const done: string[] = [];
      let steps = 0;
      worker.workOnJobs(
        'jobs',
        async (message) => {
          if (steps++ > 0) return { kind: 'done', report: jobReportOf('FAILURE', [...done].sort().join(' ')) };
          return { kind: 'layers', layers: [layerOf(message, 1), layerOf(message, 2, { clusterId: 2 })] };
        },
        1,
      );
      const doLayer = async (layer: LayerMessage): Promise<readonly LayerMessage[]> => {
        done.push(`${layer.clusterId}/${layer.taskId}`);
        // The first has two more come, one after the other.
        return layer.taskId === 'task1' ? [layerOf(job, 3)] : layer.taskId === 'task3' ? [layerOf(job, 4)] : [];
      };
      worker.workOnLayers(1, doLayer, 2);
      worker.workOnLayers(2, doLayer, 2);
      await queues.enqueue(job);
      expect(await reportOf(job)).toEqual({ outcome: 'FAILURE', error: '1/task1 1/task3 1/task4 2/task2' });
      expect(steps).toBe(2);
    });

    it('names layers again without doing them again, when a job begins anew', async () => {
      await using worker = workers();
      const job = newJob();
      const done: string[] = [];
      let steps = 0;
      worker.workOnJobs(
        'jobs',
        async (message) => {
          steps++;
          if (steps === 3) return DONE;
          if (steps === 2) return { kind: 'layers', layers: [layerOf(message, 1), layerOf(message, 2)] };
          return { kind: 'layers', layers: [layerOf(message, 1)] };
        },
        1,
      );
      worker.workOnLayers(1, async ({ taskId }) => (done.push(taskId), []), 1);
      await queues.enqueue(job);
      expect(await reportOf(job)).toEqual({ outcome: 'SUCCESS' });
      expect(done).toEqual(['task1', 'task2']);
    });

    it('tries again what failed for now, and ends what cannot be', async () => {
      await using worker = workers();
      const tries: number[] = [];
      worker.workOnJobs(
        'maintenance',
        async ({ jobId }, run: Run) => {
          if (jobId === hopeless.jobId) throw new TriedInVainError('never');
          tries.push(run.tries);
          if (run.tries < 1) throw new Error('not yet');
          return DONE;
        },
        2,
      );
      const [hopeful, hopeless] = [newJob({ type: 'get_task' }), newJob({ type: 'get_task' })];
      await queues.enqueue(hopeful);
      await queues.enqueue(hopeless);
      expect(await reportOf(hopeful)).toEqual({ outcome: 'SUCCESS' });
      expect(await reportOf(hopeless)).toBe('never');
      expect(tries).toEqual([0, 1]);
    });

    it('tells the worker of a job that nobody wants any more', async () => {
      await using worker = workers();
      const begun = Promise.withResolvers<void>();
      worker.workOnJobs(
        'jobs',
        (_message, { signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
            begun.resolve();
          }),
        1,
      );
      const job = newJob();
      await queues.enqueue(job);
      await begun.promise;
      expect(worker.jobIds).toEqual(new Set([job.jobId]));
      await eventually(async () => {
        await queues.cancel(job.jobId);
        expect((await queues.look(job)).kind).toBe('failed');
      });
      expect(await reportOf(job)).toBe(new JobCancelledError('the job was cancelled').message);
    });

    it('gives what a stopping worker cannot finish to the next one', async () => {
      const begun = Promise.withResolvers<void>();
      const job = newJob();
      {
        await using first = workers();
        first.workOnJobs(
          'jobs',
          (_message, { signal }) =>
            new Promise((_resolve, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason as Error));
              begun.resolve();
            }),
          1,
        );
        await queues.enqueue(job);
        await begun.promise;
        await first.stop(50);
      }
      await using second = workers();
      second.workOnJobs(
        'jobs',
        async (_message, { tries }) => ({ kind: 'done', report: jobReportOf('SUCCESS', `${tries}`) }),
        1,
      );
      expect(await reportOf(job)).toEqual({ outcome: 'SUCCESS', error: '0' });
    });

    it('says what waits in it, and tells of what has ended', async () => {
      const ended: number[] = [];
      const [one, two] = [newJob(), newJob()];
      await using listener = new JobQueues({ address: store.address, logger });
      listener.onEnded((jobId) => ended.push(jobId));
      await queues.enqueue(one);
      await queues.enqueue(two);
      const depths = await queues.depths([7]);
      expect(depths.map(({ queue }) => queue)).toEqual(['jobs', 'maintenance', 'preheat-c7']);
      expect(depths[0]?.counts['waiting']).toBe(2);
      expect(depths[0]?.oldestWaitMs).toBeGreaterThanOrEqual(0);
      expect(depths[2]?.oldestWaitMs).toBeUndefined();
      await using worker = workers();
      worker.workOnJobs('jobs', async () => DONE, 1);
      await Promise.all([reportOf(one), reportOf(two)]);
      // Events may be missed: whoever needs all of them looks. Of several some come.
      await eventually(async () => {
        const more = newJob();
        await queues.enqueue(more);
        await reportOf(more);
        expect(ended.length).toBeGreaterThan(0);
      });
    });
  });
}
