import { DfError } from '@d7y/piece';
import { type Logger, withTimeout } from '@d7y/service-kit';
import type { Job, Queue } from 'bullmq';
import { type Backend, createBackend } from './backend.ts';
import type { CancelChannel } from './cancel-channel.ts';
import type { QueueAddress } from './connection.ts';
import { type JobMessage, type JobReport, parseJobReport } from './messages.ts';
import { JOB_QUEUES, jobQueueOf, layerQueueOf, queuedJobId } from './names.ts';

/** The queue cannot be asked now. */
export class QueueUnavailableError extends DfError {
  override readonly name = 'QueueUnavailableError';
  readonly code = 'QUEUE_UNAVAILABLE';
  readonly retryable = true;
}

/** What the queue says of a job. `missing`: it never came there, or was lost. */
export type QueuedJob =
  | { readonly kind: 'missing' | 'waiting' | 'active' }
  | { readonly kind: 'reported'; readonly report: JobReport }
  | { readonly kind: 'failed'; readonly reason: string };

/** Jobs of one queue by state. */
export interface QueueDepth {
  readonly queue: string;
  readonly counts: Readonly<Record<string, number>>;
  /** How long the first of those that wait has waited; undefined when none does. */
  readonly oldestWaitMs: number | undefined;
}

export interface JobQueuesOptions {
  readonly address: QueueAddress;
  readonly logger: Logger;
}

/** A call that takes longer is given up; whoever asks has its answer within this. */
const CALL_TIMEOUT_MS = 5_000;
const DAY_S = 86_400;
/** What has ended is kept for a day, but only so much of it. */
export const KEPT = { removeOnComplete: { age: DAY_S, count: 5_000 }, removeOnFail: { age: DAY_S, count: 5_000 } };
/** As good as without end: whoever works on a job decides when it has been tried often enough. */
export const TRIES = 1_000;
export const BACKOFF = { type: 'd7y' };

/** Connections break one error a second; one line in a minute says so. */
const ERROR_LOG_INTERVAL_MS = 60_000;

/** The manager's end of the queues: puts jobs in, asks what became of them, hears of their end. */
export class JobQueues implements AsyncDisposable {
  readonly #backend: Backend;
  readonly #stack = new AsyncDisposableStack();
  readonly #queues = new Map<string, Queue>();
  readonly #cancel: CancelChannel;

  constructor({ address, logger }: JobQueuesOptions) {
    this.#backend = createBackend(address, throttled(logger));
    this.#stack.use(this.#backend);
    this.#cancel = this.#stack.use(this.#backend.cancelChannel());
  }

  /** Whether the store of the queues answers. @throws {QueueUnavailableError} */
  async ping(): Promise<void> {
    await this.#ask('jobs', (queue) => queue.getJobCounts('waiting'));
  }

  /** Puts a job in; one that is there already stays as it is. @throws {QueueUnavailableError} */
  async enqueue(message: JobMessage): Promise<void> {
    const options = { jobId: queuedJobId(message), attempts: TRIES, backoff: BACKOFF, ...KEPT };
    await this.#ask(jobQueueOf(message.type), (queue) => queue.add(message.type, message, options));
  }

  /** @throws {QueueUnavailableError} */
  async look(message: Pick<JobMessage, 'jobId' | 'attempt' | 'type'>): Promise<QueuedJob> {
    const job = await this.#ask(jobQueueOf(message.type), (queue) => queue.getJob(queuedJobId(message)));
    if (job === undefined) return { kind: 'missing' };
    return await withTimeout(() => queuedJobOf(job), CALL_TIMEOUT_MS, 'the queue').catch(unavailable);
  }

  /** Tells the workers that nobody wants a job any more. @throws {QueueUnavailableError} */
  async cancel(jobId: number): Promise<void> {
    await withTimeout(() => this.#cancel.publish(jobId), CALL_TIMEOUT_MS, 'the queue').catch(unavailable);
  }

  /** Hears that jobs have ended, mostly: some may be missed, so somebody has to look, too. */
  onEnded(listener: (jobId: number) => void): void {
    for (const name of JOB_QUEUES) {
      const events = this.#backend.events(name);
      this.#stack.defer(() => events.close());
      const ended = ({ jobId }: { jobId: string }) => {
        const id = /^job-(\d+)-/.exec(jobId)?.[1];
        if (id !== undefined) listener(Number(id));
      };
      events.on('completed', ended);
      events.on('failed', ended);
    }
  }

  /** @param clusterIds whose layers are counted, too @throws {QueueUnavailableError} */
  async depths(clusterIds: Iterable<number>): Promise<readonly QueueDepth[]> {
    const names = [...JOB_QUEUES, ...[...clusterIds].map(layerQueueOf)];
    return await Promise.all(
      names.map((name) =>
        this.#ask(name, async (queue) => {
          const counts = await queue.getJobCounts(...STATES);
          const [oldest] = await queue.getJobs(['waiting'], 0, 0, true);
          return { queue: name, counts, oldestWaitMs: oldest === undefined ? undefined : ageOf(oldest) };
        }),
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #ask<T>(name: string, call: (queue: Queue) => Promise<T>): Promise<T> {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = this.#backend.queue(name, {});
      this.#queues.set(name, queue);
      const opened = queue;
      this.#stack.defer(() => opened.close());
    }
    const asked = queue;
    return await withTimeout(() => call(asked), CALL_TIMEOUT_MS, 'the queue').catch(unavailable);
  }
}

const STATES = ['waiting', 'active', 'delayed', 'waiting-children', 'completed', 'failed'] as const;

const ageOf = ({ timestamp }: Job): number => Math.max(0, Date.now() - timestamp);

async function queuedJobOf(job: Job): Promise<QueuedJob> {
  const state = await job.getState();
  switch (state) {
    case 'completed':
      return { kind: 'reported', report: parseJobReport(job.returnvalue) };
    case 'failed':
      return { kind: 'failed', reason: job.failedReason || 'the queue gave it up' };
    case 'unknown':
      return { kind: 'missing' };
    case 'active':
    case 'waiting-children':
      return { kind: 'active' };
    default:
      return { kind: 'waiting' };
  }
}

function unavailable(error: unknown): never {
  const reason = error instanceof Error ? error.message : String(error);
  throw new QueueUnavailableError(`the queue does not answer: ${reason}`, { cause: error });
}

/** A log that does not repeat itself. */
export function throttled(logger: Logger): (error: Error) => void {
  let loggedAtMs = -Infinity;
  return (error) => {
    if (performance.now() - loggedAtMs < ERROR_LOG_INTERVAL_MS) return;
    loggedAtMs = performance.now();
    logger.warn({ err: error }, 'the connection to the queue broke; it is opened again');
  };
}
