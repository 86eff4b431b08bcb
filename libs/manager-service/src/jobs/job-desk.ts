import { createHash, randomUUID } from 'node:crypto';
import { DatabaseUnavailableError, isConflict, type Intake, type JobIntake } from '@d7y/manager-db';
import { isBareReference, manifestUrlOf, PreheatRequestError } from '@d7y/preheat';
import { lackSecrets, secretContextOf, splitSecrets } from '@d7y/preheat-queue';
import {
  currentTraceparent,
  parseDurationMs,
  portOf,
  type Secret,
  type UpstreamGuard,
  UpstreamRefusedError,
} from '@d7y/service-kit';
import type { JobRequest, Jobs, SubmittedJob } from '../rest/jobs-port.ts';
import {
  JobArgumentsError,
  JobClusterNotFoundError,
  JobConflictError,
  JobNotFoundError,
  JobRateLimitError,
  JobsUnavailableError,
} from './errors.ts';
import { endOf } from './job-end.ts';

/** Seals what must not lie in the database in clear. */
export interface Seal {
  seal(plain: Secret, context: string): string;
}

export interface JobDeskOptions {
  readonly intake: JobIntake;
  readonly sealer: Seal;
  /** What preheats may name. */
  readonly guard: UpstreamGuard;
  /** Called when the queue has something to hear. */
  readonly wake: () => void;
  /** Counts what is asked for, and whether it was taken in. */
  readonly onSubmit?: (type: string, isTaken: boolean) => void;
  readonly clock?: () => number;
}

type Args = Readonly<Record<string, unknown>>;

const HOUR_MS = 3_600_000;
const DEFAULT_TIMEOUT_MS = HOUR_MS;
const MAX_TIMEOUT_MS = 24 * HOUR_MS;
/** Credentials are kept for another attempt, but not for long. */
const SECRET_LIFE_MS = 24 * HOUR_MS;
/** Jobs that ask origins for what they are given. */
const ASKS_ORIGINS = new Set(['preheat', 'get_image_distribution']);

/** Takes jobs in: written down in one transaction, answered at once, done elsewhere. */
export class JobDesk implements Jobs {
  readonly #options: JobDeskOptions;
  readonly #clock: () => number;

  constructor(options: JobDeskOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
  }

  async submit(request: JobRequest): Promise<SubmittedJob> {
    let isTaken = false;
    try {
      const submitted = await this.#submit(request);
      isTaken = true;
      return submitted;
    } finally {
      this.#options.onSubmit?.(request.type, isTaken);
    }
  }

  async #submit(request: JobRequest): Promise<SubmittedJob> {
    const { intake, sealer, wake } = this.#options;
    const args = this.#checked(request);
    const { shown, secret } = splitSecrets(args);
    const now = this.#clock();
    const taken = await available(
      intake.accept({
        ...{
          groupId: `group_${randomUUID()}`,
          type: request.type,
          bio: request.bio,
          userId: request.userId,
          args: shown,
        },
        ...{ clusterIds: request.schedulerClusterIds, seedPeerClusterIds: request.seedPeerClusterIds },
        dedupKey: dedupKeyOf(request, args),
        idempotencyKey: idempotencyKeyOf(request, args),
        traceparent: currentTraceparent(),
        now: new Date(now),
        deadlineAt: new Date(now + timeoutMsOf(args)),
        seal: secret === undefined ? undefined : (jobId) => sealer.seal(secret, secretContextOf(jobId)),
        secretExpiresAt: new Date(now + timeoutMsOf(args) + SECRET_LIFE_MS),
      }),
    );
    const submitted = submittedOf(taken);
    if (!submitted.isDuplicate) wake();
    return submitted;
  }

  async cancel(id: number): Promise<void> {
    const { intake, wake } = this.#options;
    const now = new Date(this.#clock());
    if (
      await available(
        intake.end(id, endOf({ state: 'FAILURE', phase: 'CANCELLED', error: 'the job was cancelled', now })),
      )
    )
      wake();
    else if ((await available(intake.stateOf(id))) === undefined) throw new JobNotFoundError(id);
  }

  async retry(id: number): Promise<void> {
    const { intake, wake } = this.#options;
    let begun;
    try {
      begun = await intake.beginAnew(id, {
        now: new Date(this.#clock()),
        timeoutMs: timeoutMsOf,
        needsSecret: lackSecrets,
      });
    } catch (error) {
      if (codeOf(error) === 'ALREADY_EXISTS') throw new JobConflictError('another job is pending for the same');
      throw asUnavailable(error);
    }
    if (begun === 'unknown') throw new JobNotFoundError(id);
    if (begun === 'notFailed') throw new JobConflictError(`job ${id} has not failed`);
    if (begun === 'secretGone') throw new JobConflictError(`the credentials of job ${id} are gone: ask for it anew`);
    wake();
  }

  async remove(id: number): Promise<void> {
    await this.cancel(id);
    // The queue hears of it before the row goes, which its message is about; if it does not, the worker finds no job.
    if (!(await available(this.#options.intake.remove(id)))) throw new JobNotFoundError(id);
  }

  /** What can never work is refused while there is somebody to tell. */
  #checked({ type, args: given }: JobRequest): Args {
    // What only this function says.
    const { reference: _reference, ...args } = given as Args;
    if (!ASKS_ORIGINS.has(type)) return args;
    try {
      const isImage = type === 'get_image_distribution' || args['type'] === 'image';
      const url = typeof args['url'] === 'string' ? args['url'] : undefined;
      const urls = Array.isArray(args['urls']) ? (args['urls'] as string[]) : [];
      if (isImage) {
        const manifestUrl = manifestUrlOf(url ?? '');
        this.#check(manifestUrl);
        // The worker may have to find out by which scheme its registry is spoken to.
        return { ...args, url: manifestUrl, ...(isBareReference(url ?? '') && { reference: url }) };
      }
      for (const one of [...(url === undefined ? [] : [url]), ...urls]) this.#check(one);
      return args;
    } catch (error) {
      if (error instanceof PreheatRequestError) throw new JobArgumentsError(error.message, { cause: error });
      if (error instanceof UpstreamRefusedError)
        throw new JobArgumentsError(`url: ${error.message}; see job.preheat in the configuration of the manager`, {
          cause: error,
        });
      throw error;
    }
  }

  #check(text: string): void {
    const url = URL.parse(text);
    if (url === null || !/^https?:$/.test(url.protocol)) throw new PreheatRequestError('url: expected http or https');
    this.#options.guard.checkNamed(url.hostname, portOf(url));
  }
}

function submittedOf(taken: Intake): SubmittedJob {
  switch (taken.kind) {
    case 'accepted':
      return { id: taken.id, isDuplicate: false };
    case 'duplicate':
      return { id: taken.id, isDuplicate: true };
    case 'limited':
      throw new JobRateLimitError(taken.clusterId);
    case 'unknownCluster':
      throw new JobClusterNotFoundError(`there is no scheduler cluster ${taken.clusterId}`);
    case 'noCluster':
      throw new JobClusterNotFoundError('there is no scheduler cluster');
  }
}

/** Milliseconds; the published unit is the nanosecond. */
function timeoutMsOf({ timeout }: Args): number {
  const ms =
    typeof timeout === 'number' ? timeout / 1e6 : typeof timeout === 'string' ? parseDurationMs(timeout) : undefined;
  return ms !== undefined && ms > 0 ? Math.min(ms, MAX_TIMEOUT_MS) : DEFAULT_TIMEOUT_MS;
}

/** Equal for requests that ask for the same, whoever asks. */
function dedupKeyOf({ type, schedulerClusterIds, seedPeerClusterIds }: JobRequest, args: Args): string {
  const { password: _password, username: _username, headers, idempotency_key: _key, reference, ...named } = args;
  const names = Object.keys((headers as object | undefined) ?? {}).map((name) => name.toLowerCase());
  return sha256(
    canonical([
      type,
      named,
      // Names of one image are one request; a URL says more than they do.
      ...(reference === undefined ? [] : ['bare']),
      names.sort(),
      [...new Set(schedulerClusterIds)].sort(),
      [...new Set(seedPeerClusterIds)].sort(),
    ]),
  );
}

function idempotencyKeyOf({ idempotencyKey, userId }: JobRequest, args: Args): string | undefined {
  const key = idempotencyKey ?? args['idempotency_key'];
  return typeof key === 'string' ? sha256(canonical([userId ?? null, key])) : undefined;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** JSON in which the order of fields does not matter. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

async function available<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw asUnavailable(error);
  }
}

function asUnavailable(error: unknown): unknown {
  return error instanceof DatabaseUnavailableError || isConflict(error)
    ? new JobsUnavailableError('the database does not answer', { cause: error })
    : error;
}

const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;
