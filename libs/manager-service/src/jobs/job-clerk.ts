import type { JobIntake, OutboxEntry, PendingJob } from '@d7y/manager-db';
import { JOB_TYPES, type JobMessage, type JobQueues, type JobType, type QueuedJob } from '@d7y/preheat-queue';
import { delay, linkedSignal, type Logger } from '@d7y/service-kit';
import { endOf } from './job-end.ts';

/** A job that one manager, and no other, has brought to its end. */
export interface EndedJob {
  readonly id: number;
  readonly type: string;
  readonly state: 'SUCCESS' | 'FAILURE';
  /** Since it was asked for. */
  readonly ageMs: number;
}

export interface JobClerkOptions {
  readonly intake: JobIntake;
  readonly queues: Pick<JobQueues, 'enqueue' | 'cancel' | 'look' | 'onEnded'>;
  readonly logger: Logger;
  /** How often the queue is told what it has not heard. Default 10 s; whoever takes a job in does not wait for it. */
  readonly sweepIntervalMs?: number | undefined;
  /** How often every pending job is compared with the queue. Default 10 s. */
  readonly compareIntervalMs?: number | undefined;
  /** A job whose time is over is left to its worker for so long, which knows more. Default 30 s. */
  readonly graceMs?: number | undefined;
  readonly onEnd?: ((job: EndedJob) => void) | undefined;
  readonly signal: AbortSignal;
  readonly clock?: (() => number) | undefined;
}

const SWEEP_MS = 10_000;
const COMPARE_MS = 10_000;
const GRACE_MS = 30_000;
/** A job that the queue does not know is told again, but not while it may just be on its way. */
const MISSING_MS = 5_000;
/** Looked at in the queue at once. */
const LOOKS = 16;

/**
 * Carries jobs between database and queue. The database says what is to be done, the queue what has become of it; events of the queue only
 * make this sooner. Everything here may happen twice, in several managers: states of jobs go forward only.
 */
export class JobClerk implements AsyncDisposable {
  readonly #options: JobClerkOptions;
  readonly #clock: () => number;
  readonly #ended = new Set<number>();
  readonly #loops: Promise<void>[] = [];
  readonly #stop;
  #wakeSweep: () => void = () => undefined;
  #wakeCompare: () => void = () => undefined;

  constructor(options: JobClerkOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
    this.#stop = linkedSignal(options.signal);
  }

  start(): void {
    const { queues, sweepIntervalMs = SWEEP_MS, compareIntervalMs = COMPARE_MS } = this.#options;
    queues.onEnded((jobId) => {
      this.#ended.add(jobId);
      this.#wakeCompare();
    });
    this.#loops.push(
      this.#loop(
        sweepIntervalMs,
        (wake) => (this.#wakeSweep = wake),
        () => this.sweep(),
      ),
      this.#loop(
        compareIntervalMs,
        (wake) => (this.#wakeCompare = wake),
        () => this.compare(),
      ),
    );
  }

  /** There is something for the queue to hear. */
  wake(): void {
    this.#wakeSweep();
  }

  /** Tells the queue what it has not heard. */
  async sweep(): Promise<void> {
    const { intake } = this.#options;
    for (;;) {
      const told = await intake.sweep((entry) => this.#tell(entry), new Date(this.#clock()));
      if (told === undefined || told === 0) return;
    }
  }

  /** Brings the state of jobs up to what the queue says: those that have ended as it told, or else all that are pending. */
  async compare(): Promise<void> {
    const { intake } = this.#options;
    const heard = [...this.#ended].slice(0, 1_000);
    for (const id of heard) this.#ended.delete(id);
    const pending = await intake.pending(heard.length > 0 ? { ids: heard } : {});
    for (let from = 0; from < pending.length; from += LOOKS)
      await Promise.all(pending.slice(from, from + LOOKS).map((job) => this.#settle(job)));
    if (this.#ended.size > 0) this.#wakeCompare();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the manager stops', 'AbortError'));
    await Promise.all(this.#loops);
    this.#stop[Symbol.dispose]();
  }

  async #tell({ jobId, kind, attempt, type, traceparent }: OutboxEntry): Promise<void> {
    const { queues } = this.#options;
    if (kind === 'cancel') await queues.cancel(jobId);
    else await queues.enqueue(messageOf({ id: jobId, attempt, type, traceparent }));
  }

  async #settle(job: PendingJob): Promise<void> {
    const { intake, queues, graceMs = GRACE_MS, logger } = this.#options;
    const nowMs = this.#clock();
    const seen = await queues.look(messageOf(job)).catch((error: unknown): QueuedJob | undefined => {
      logger.debug({ err: error, jobId: job.id }, 'the queue cannot be asked for a job');
      return undefined;
    });
    if (seen?.kind === 'reported') {
      const { outcome, error } = seen.report;
      await this.#end(job, outcome, error);
    } else if (seen?.kind === 'failed') await this.#end(job, 'FAILURE', seen.reason);
    else if (job.deadlineAt !== null && job.deadlineAt.getTime() + graceMs < nowMs)
      await this.#end(job, 'FAILURE', 'the job took longer than it may');
    else if (seen?.kind === 'missing' && !job.isInOutbox && job.updatedAt.getTime() + MISSING_MS < nowMs) {
      logger.warn({ jobId: job.id, type: job.type }, 'the queue has lost a job; it is told once more');
      await intake.tellAgain(job.id, new Date(nowMs));
      this.#wakeSweep();
    }
  }

  async #end(job: PendingJob, state: 'SUCCESS' | 'FAILURE', error: string | undefined): Promise<void> {
    const { intake, logger, onEnd } = this.#options;
    const now = new Date(this.#clock());
    const reason = state === 'SUCCESS' ? undefined : (error ?? 'no reason was given');
    if (!(await intake.end(job.id, endOf({ state, phase: state, error: reason, now }), job.attempt))) return;
    logger.info({ jobId: job.id, type: job.type, state, reason }, 'a job has ended');
    onEnd?.({ id: job.id, type: job.type, state, ageMs: now.getTime() - job.createdAt.getTime() });
  }

  /** Runs `work` now and then, and soon after it is woken; what fails is tried again the next time. */
  async #loop(intervalMs: number, give: (wake: () => void) => void, work: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    let woken = Promise.withResolvers<void>();
    give(() => woken.resolve());
    while (!signal.aborted) {
      woken = Promise.withResolvers<void>();
      try {
        await work();
      } catch (error) {
        this.#options.logger.warn({ err: error }, 'jobs could not be carried between database and queue');
      }
      using pause = linkedSignal(signal);
      await Promise.race([
        delay(intervalMs, { signal: pause.signal, unref: true }).catch(() => undefined),
        woken.promise,
      ]);
      pause.abort(new DOMException('no longer waiting', 'AbortError'));
    }
  }
}

function messageOf({
  id,
  attempt,
  type,
  traceparent,
}: Pick<PendingJob, 'id' | 'attempt' | 'type' | 'traceparent'>): JobMessage {
  const known: JobType = JOB_TYPES.find((one) => one === type) ?? 'gc';
  return { jobId: id, attempt, type: known, ...(traceparent === null ? {} : { traceparent }) };
}
