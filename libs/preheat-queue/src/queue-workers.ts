import { DfError } from '@d7y/piece';
import { delay, type Logger } from '@d7y/service-kit';
import { DelayedError, type Job, type Queue, UnrecoverableError, WaitingChildrenError, type Worker } from 'bullmq';
import { type Backend, createBackend } from './backend.ts';
import type { CancelChannel } from './cancel-channel.ts';
import type { QueueAddress } from './connection.ts';
import { BACKOFF, KEPT, throttled, TRIES } from './job-queues.ts';
import { type JobMessage, type JobReport, type LayerMessage, parseJobMessage, parseLayerMessage } from './messages.ts';
import { type JobQueueName, layerQueueOf, queuedLayerId } from './names.ts';

/** Why work on a job ends before it is done. */
export class JobCancelledError extends DfError {
  override readonly name = 'JobCancelledError';
  readonly code = 'JOB_CANCELLED';
  readonly retryable = false;
}

/** This process stops: the job goes back, and somebody else goes on with it. */
export class WorkerStoppingError extends DfError {
  override readonly name = 'WorkerStoppingError';
  readonly code = 'WORKER_STOPPING';
  readonly retryable = true;
}

/** What the steps of a job are given. */
export interface Run {
  /** JobCancelledError: nobody wants it any more. WorkerStoppingError: somebody else goes on. */
  readonly signal: AbortSignal;
  /** How often this step failed before. */
  readonly tries: number;
}

/** A job is not done before these layers are, or it is. */
export type Advance =
  | { readonly kind: 'layers'; readonly layers: readonly LayerMessage[] }
  | { readonly kind: 'done'; readonly report: JobReport };

/**
 * Does the next step of a job: called at its start and whenever all layers that it named are done; also once more after a crash. What it
 * throws is tried again with back-off, unless it is a DfError that is not retryable: that ends the job.
 */
export type AdvanceJob = (message: JobMessage, run: Run) => Promise<Advance>;

/** Does one layer. @returns further layers of the same job whose turn it is now */
export type DoLayer = (message: LayerMessage, run: Run) => Promise<readonly LayerMessage[]>;

export interface QueueWorkersOptions {
  readonly address: QueueAddress;
  readonly logger: Logger;
  /** For this long a worker that is gone is believed to be there. Default 20 s. */
  readonly lockMs?: number | undefined;
  /** How often jobs of workers that are gone are looked for. Default 10 s. */
  readonly stalledIntervalMs?: number | undefined;
}

const LOCK_MS = 20_000;
const STALLED_INTERVAL_MS = 10_000;
/** Workers that may die over one job before it is given up. */
const MAX_DEATHS = 10;
const MAX_BACKOFF_MS = 30_000;
/** Work that does not hear its signal is left behind after this. */
const DEAF_MS = 5_000;

type Step = (job: Job, token: string, run: Run) => Promise<unknown>;

/** The worker's end of the queues. Owner of the work under way. */
export class QueueWorkers implements AsyncDisposable {
  readonly #backend: Backend;
  readonly #options: QueueWorkersOptions;
  readonly #workers = new Map<string, Worker>();
  readonly #queues = new Map<string, Queue>();
  readonly #underWay = new Map<AbortController, number>();
  readonly #cancel: CancelChannel;
  #isStopping = false;

  constructor(options: QueueWorkersOptions) {
    this.#options = options;
    this.#backend = createBackend(options.address, throttled(options.logger));
    this.#cancel = this.#backend.cancelChannel();
    this.#cancel.listen((jobId) => this.cancel(jobId));
  }

  /** Names of the jobs that are worked on here. */
  get jobIds(): ReadonlySet<number> {
    return new Set(this.#underWay.values());
  }

  /** Ends the work on a job here. */
  cancel(jobId: number): void {
    for (const [controller, id] of this.#underWay)
      if (id === jobId) controller.abort(new JobCancelledError('the job was cancelled'));
  }

  /** Works on the jobs of a queue, `concurrency` at a time. */
  workOnJobs(name: JobQueueName, advance: AdvanceJob, concurrency: number): void {
    this.#work(name, concurrency, async (job, token, run) => {
      const message = parseJobMessage(job.data);
      for (;;) {
        const step = await advance(message, run);
        if (step.kind === 'done') return step.report;
        run.signal.throwIfAborted();
        if (step.layers.length === 0) throw new TypeError('a job waits for no layer');
        for (const layer of step.layers) await this.#addLayer(layer, parentOf(job));
        // False: the layers have been done in the meantime.
        if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
      }
    });
  }

  /** Works on the layers of a cluster; again with another number, only that is changed. */
  workOnLayers(clusterId: number, doLayer: DoLayer, concurrency: number): void {
    const name = layerQueueOf(clusterId);
    const there = this.#workers.get(name);
    if (there !== undefined) {
      there.concurrency = concurrency;
      return;
    }
    this.#work(name, concurrency, async (job, _token, run) => {
      const next = await doLayer(parseLayerMessage(job.data), run);
      // Before this one is over, or the job would take itself for done in between.
      const { id, queueKey } = job.parent ?? {};
      if (id !== undefined && queueKey !== undefined)
        for (const layer of next) await this.#addLayer(layer, { id, queue: queueKey });
    });
  }

  /** Whether the workers have reached the store. */
  async ready(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.waitUntilReady()));
  }

  /** Takes no more work, and waits for what is under way; what is left after `graceMs` goes back into the queue. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    const workers = [...this.#workers.values()];
    const closed = Promise.all(workers.map((worker) => worker.close()));
    closed.catch(() => undefined);
    const within = async (ms: number): Promise<boolean> => {
      using patience = new Patience(ms);
      return await Promise.race([closed.then(() => true), patience.over.then(() => false)]);
    };
    if (await within(graceMs)) return;
    for (const controller of this.#underWay.keys())
      controller.abort(new WorkerStoppingError('this worker stops; another one goes on'));
    if (await within(DEAF_MS)) return;
    await Promise.all(workers.map((worker) => worker.close(true))).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(0);
    await this.#cancel[Symbol.asyncDispose]();
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    await this.#backend[Symbol.asyncDispose]();
  }

  #work(name: string, concurrency: number, step: Step): void {
    const { logger, lockMs = LOCK_MS, stalledIntervalMs = STALLED_INTERVAL_MS } = this.#options;
    const worker = this.#backend.worker(
      name,
      // Three parameters: BullMQ passes the signal only to whom has a place for it.
      async (job, token = '', lost) => {
        using run = this.#begin(job, lost);
        try {
          return await step(job, token, { signal: run.signal, tries: job.attemptsMade });
        } catch (error) {
          return await this.#ended(error, run.signal, job, token);
        }
      },
      {
        concurrency,
        lockDuration: lockMs,
        stalledInterval: stalledIntervalMs,
        maxStalledCount: MAX_DEATHS,
        drainDelay: 5,
        settings: { backoffStrategy },
      },
    );
    worker.on('lockRenewalFailed', (ids) => {
      logger.warn({ jobs: ids }, 'the queue gave jobs of this worker to others; they are left to them');
      for (const id of ids) worker.cancelJob(id, 'the queue gave it to another worker');
    });
    worker.on('failed', (job, error) =>
      logger.info(
        { queue: name, job: job?.id, tries: job?.attemptsMade, reason: error.message },
        'a step of a job failed',
      ),
    );
    this.#workers.set(name, worker);
  }

  #begin(job: Job, lost: AbortSignal | undefined): { signal: AbortSignal } & Disposable {
    const controller = new AbortController();
    const { jobId } = job.data as { jobId?: unknown };
    this.#underWay.set(controller, typeof jobId === 'number' ? jobId : 0);
    const leave = () => controller.abort(new WorkerStoppingError('another worker has this job now'));
    lost?.addEventListener('abort', leave, { once: true });
    return {
      signal: controller.signal,
      [Symbol.dispose]: () => {
        lost?.removeEventListener('abort', leave);
        this.#underWay.delete(controller);
      },
    };
  }

  async #ended(error: unknown, signal: AbortSignal, job: Job, token: string): Promise<never> {
    if (error instanceof WaitingChildrenError) throw error;
    if (signal.aborted && signal.reason instanceof WorkerStoppingError) {
      // Not a failure: back to those who wait.
      if (this.#isStopping) await job.moveToDelayed(Date.now() + 1, token).catch(() => undefined);
      throw new DelayedError();
    }
    if (error instanceof DfError && !error.retryable) throw new UnrecoverableError(error.message);
    throw error;
  }

  async #addLayer(layer: LayerMessage, parent: { id: string; queue: string }): Promise<void> {
    const name = layerQueueOf(layer.clusterId);
    const queue = this.#queues.get(name) ?? this.#backend.queue(name, {});
    this.#queues.set(name, queue);
    await queue.add('layer', layer, {
      jobId: queuedLayerId(layer),
      parent,
      attempts: TRIES,
      backoff: BACKOFF,
      // What became of a layer stands in the database; the job goes on whatever it is.
      ignoreDependencyOnFailure: true,
      ...KEPT,
    });
  }
}

function parentOf(job: Job): { id: string; queue: string } {
  if (job.id === undefined) throw new TypeError('a job of the queue has an id');
  return { id: job.id, queue: job.queueQualifiedName };
}

/** 1, 2, 4 … 30 s, and up to half of it more or less, so that many do not come at once. */
function backoffStrategy(attemptsMade: number): number {
  const full = Math.min(1_000 * 2 ** Math.min(attemptsMade - 1, 10), MAX_BACKOFF_MS);
  return Math.round(full * (0.75 + Math.random() / 2));
}

/** A wait that nobody has to sit out. */
class Patience implements Disposable {
  readonly #left = new AbortController();
  readonly over: Promise<void>;

  constructor(ms: number) {
    this.over = delay(ms, { signal: this.#left.signal }).catch(() => undefined);
  }

  [Symbol.dispose](): void {
    this.#left.abort();
  }
}
