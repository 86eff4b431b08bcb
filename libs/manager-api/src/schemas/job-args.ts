import { z } from 'zod';
import { id, ip, line, url } from './fields.ts';

/**
 * In arguments of jobs null, an empty text, zero, an empty list and an empty object stand for absence: the published manager reads them
 * so, and its clients (Harbor among them) always send every field.
 */
function withoutEmptyFields(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, field]) => !isEmpty(field)));
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === '' || value === 0) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** Unknown fields of arguments are ignored, as the published manager ignores them. */
const args = <Shape extends z.ZodRawShape>(shape: Shape) => z.preprocess(withoutEmptyFields, z.object(shape));

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;
/** No line break, so that a value cannot become two headers. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const MAX_HEADERS = 64;

const headers = z
  .record(z.string().regex(HEADER_NAME), z.string().max(16_384).regex(HEADER_VALUE))
  .refine((all) => Object.keys(all).length <= MAX_HEADERS, `must not be more than ${MAX_HEADERS}`);

const DURATION = /^(\d+(\.\d+)?(h|m|s|ms))+$/;
/** Nanoseconds, as the published manager has it, or a text such as `30m`. At most a day. */
const timeout = z.union([z.int().min(1).max(86_400_000_000_000), z.string().max(32).regex(DURATION)]);

const pieceLength = z.int().min(4_194_304).max(67_108_864);
const platform = z
  .string()
  .max(64)
  .regex(/^[a-z0-9_]+\/[a-z0-9_]+(\/[a-z0-9_.]+)?$/, 'must be os/architecture or os/architecture/variant');

const concurrentPeers = z.int().min(1).max(1_000);

/** What makes a task of a URL. */
const taskFields = {
  url: url.optional(),
  piece_length: pieceLength.optional(),
  tag: line(1_024).optional(),
  application: line(1_024).optional(),
  filtered_query_params: line(4_096).optional(),
};

export const preheatScope = z.enum(['single_seed_peer', 'all_seed_peers', 'all_peers']);
export const successPolicy = z.union([
  z.enum(['any', 'all']),
  z.string().regex(/^quorum:(100|[1-9]\d?)$/, 'must be any, all, or quorum:1 to quorum:100'),
]);

const preheatFields = {
  type: z.enum(['image', 'file']),
  ...taskFields,
  /** Of files only. */
  urls: z.array(url).max(100).optional(),
  headers: headers.optional(),
  username: line(256).optional(),
  password: z.string().max(4_096).optional(),
  platform: platform.optional(),
  platforms: z.array(platform).max(32).optional(),
  scope: preheatScope.optional(),
  ips: z.array(ip).max(100).optional(),
  count: z.int().min(1).max(200).optional(),
  percentage: z.int().min(1).max(100).optional(),
  concurrent_task_count: z.int().min(1).max(100).optional(),
  concurrent_peer_count: concurrentPeers.optional(),
  timeout: timeout.optional(),
  /** Level of the published protocol, 0 to 6. */
  priority: z.int().min(0).max(6).optional(),
  success_policy: successPolicy.optional(),
  idempotency_key: line(256).optional(),
};

type NamedContent = { readonly type: string; readonly url?: string | undefined; readonly urls?: string[] | undefined };

function checkContent(value: NamedContent, context: z.RefinementCtx): void {
  const isNamed = value.url !== undefined || (value.urls?.length ?? 0) > 0;
  if (!isNamed) context.addIssue({ code: 'custom', path: ['url'], message: 'is needed' });
  if (value.type === 'image' && value.url === undefined && isNamed)
    context.addIssue({ code: 'custom', path: ['urls'], message: 'is for files; an image has one url' });
}

/** What to bring to which hosts before it is needed. */
export const preheatArgs = args(preheatFields).superRefine(checkContent);

/** The same in one piece with the clusters, and with an image by its name or by the URL of its manifest. */
export const createPreheat = args({
  ...preheatFields,
  scheduler_cluster_ids: z.array(id).max(1_000).nullish(),
}).superRefine(checkContent);

/** One task, by its id or by what makes it. */
export const taskArgs = args({
  task_id: line(256).optional(),
  ...taskFields,
  content_for_calculating_task_id: line(4_096).optional(),
  concurrent_peer_count: concurrentPeers.optional(),
  timeout: timeout.optional(),
}).superRefine((value, context) => {
  const names = [value.task_id, value.url, value.content_for_calculating_task_id].filter((name) => name !== undefined);
  if (names.length !== 1)
    context.addIssue({
      code: 'custom',
      path: ['task_id'],
      message: 'exactly one of task_id, url and content_for_calculating_task_id is needed',
    });
});

/** Which tasks schedulers know: all, or those with this state, of this URL, or whose ids begin so. */
export const listTasksArgs = args({
  task_id: line(256).optional(),
  state: line(64).optional(),
  url: url.optional(),
  timeout: timeout.optional(),
});

/** Which hosts hold the layers of an image. */
export const imageDistributionArgs = args({
  url,
  piece_length: pieceLength.optional(),
  tag: line(1_024).optional(),
  application: line(1_024).optional(),
  filtered_query_params: line(4_096).optional(),
  headers: headers.optional(),
  username: line(256).optional(),
  password: z.string().max(4_096).optional(),
  platform: platform.optional(),
  concurrent_layer_count: z.int().min(1).max(100).optional(),
  concurrent_peer_count: concurrentPeers.optional(),
  timeout: timeout.optional(),
});

/** Which rows are removed when they are old. */
export const gcArgs = args({ type: z.enum(['audit', 'job']) });

export const noArgs = args({});

export type PreheatArgs = z.output<typeof preheatArgs>;
export type TaskArgs = z.output<typeof taskArgs>;
export type ImageDistributionArgs = z.output<typeof imageDistributionArgs>;
export type GcArgs = z.output<typeof gcArgs>;
export type PreheatScope = z.output<typeof preheatScope>;
