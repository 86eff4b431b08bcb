import { DfError } from '@d7y/piece';
import { z } from 'zod';

/** What jobs there are. */
export const JOB_TYPES = [
  'preheat',
  'sync_peers',
  'get_task',
  'list_tasks',
  'get_image_distribution',
  'delete_task',
  'gc',
] as const;
export type JobType = (typeof JOB_TYPES)[number];

const id = z.int().min(1);
const traceparent = z
  .string()
  .regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/)
  .optional();

const jobMessage = z.strictObject({
  jobId: id,
  /** How often the job was started, this time included; what an earlier one still does counts no more. */
  attempt: id,
  type: z.enum(JOB_TYPES),
  /** The trace of the request that asked for the job. */
  traceparent,
});

const layerMessage = z.strictObject({
  jobId: id,
  attempt: id,
  clusterId: id,
  taskId: z.string().min(1).max(256),
  /** How often this layer was started before. */
  round: z.int().min(0),
  traceparent,
});

/**
 * A job, as the queue has it: names of rows, and nothing of what stands in them. Addresses may be signed, and headers are credentials;
 * both stay in the database.
 */
export type JobMessage = Readonly<z.output<typeof jobMessage>>;

/** One layer of a preheat in one cluster. */
export type LayerMessage = Readonly<z.output<typeof layerMessage>>;

/** What the queue holds is not what this program puts there. */
export class QueueMessageError extends DfError {
  override readonly name = 'QueueMessageError';
  readonly code = 'QUEUE_MESSAGE';
  readonly retryable = false;
}

/** @throws {QueueMessageError} */
export const parseJobMessage = (value: unknown): JobMessage => parsed(jobMessage, value);
/** @throws {QueueMessageError} */
export const parseLayerMessage = (value: unknown): LayerMessage => parsed(layerMessage, value);

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const { success, data, error } = schema.safeParse(value);
  if (!success) throw new QueueMessageError(`a message of the queue: ${z.prettifyError(error)}`);
  return data;
}

/** Longest error that a report has room for. */
const MAX_ERROR_LENGTH = 2_000;

const jobReport = z.object({
  outcome: z.enum(['SUCCESS', 'FAILURE']),
  error: z.string().max(MAX_ERROR_LENGTH).optional(),
});

/** What came of a job. Its details are in the database; the queue keeps only this. */
export type JobReport = Readonly<z.output<typeof jobReport>>;

export function jobReportOf(outcome: JobReport['outcome'], error?: string): JobReport {
  return { outcome, ...(error === undefined ? {} : { error: error.slice(0, MAX_ERROR_LENGTH) }) };
}

/** @throws {QueueMessageError} */
export const parseJobReport = (value: unknown): JobReport => parsed(jobReport, value);
