import { z } from 'zod';
import { right, routes } from '../route.ts';
import * as schemas from '../schemas/audits.ts';

const open = { kind: 'open' } as const;

export const OTHER_ROUTES = routes({
  'audits.list': {
    ...{ method: 'GET', path: '/audits', doors: { session: true }, access: right('audits', 'read'), isPaged: true },
    summary: 'List who changed what, newest first.',
    query: schemas.auditQuery,
    answer: z.array(schemas.audit),
  },
  healthy: {
    ...{ method: 'GET', path: '/healthy', doors: { root: true }, access: open },
    summary: 'Tell that the process lives.',
    answer: z.literal('OK'),
  },
  readyz: {
    ...{ method: 'GET', path: '/readyz', doors: { root: true }, access: open },
    summary:
      'Tell whether it can serve: status 503 while it cannot, "OK" when it lacks nothing, else what jobs wait for.',
    answer: z.string(),
  },
});
