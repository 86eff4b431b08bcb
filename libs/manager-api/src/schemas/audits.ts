import { z } from 'zod';
import { line, paging, stored, timestamp } from './fields.ts';

const actorType = z.enum(['UNKNOWN', 'USER', 'PAT']);
const auditState = z.enum(['SUCCESS', 'FAILURE']);

/** One call that changed something, or that was about who may. */
export const audit = z
  .object({
    ...stored,
    actor_type: actorType,
    actor_name: z.string(),
    event_type: z.string(),
    operation: z.string(),
    operated_at: timestamp,
    state: auditState,
    path: z.string(),
    status_code: z.int(),
    detail: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Audit' });

export const auditQuery = z.strictObject({
  actor_type: actorType.optional(),
  actor_name: line(256).optional(),
  event_type: z.literal('API').optional(),
  operation: line(100).optional(),
  state: auditState.optional(),
  path: line(1_024).optional(),
  status_code: z.coerce.number().int().min(100).max(599).optional(),
  ...paging,
});
