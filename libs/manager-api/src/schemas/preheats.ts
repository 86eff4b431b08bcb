import { z } from 'zod';
import { id, timestamp } from './fields.ts';

const preheatStatus = z.enum(['WAITING', 'RUNNING', 'SUCCESS', 'FAIL']);

export const startedPreheat = z
  .object({ id: z.string(), job_id: id, status: preheatStatus })
  .meta({ id: 'StartedPreheat' });

export const preheat = z
  .object({
    id: z.string(),
    status: preheatStatus,
    progress: z.object({
      layers_total: z.int(),
      layers_done: z.int(),
      peers_total: z.int(),
      peers_done: z.int(),
    }),
    startTime: timestamp.nullable(),
    finishTime: timestamp.nullable(),
    error: z.string().nullable(),
  })
  .meta({ id: 'Preheat' });
