import { z } from 'zod';

/** What went wrong, for people. */
export const failure = z
  .object({ message: z.string(), error: z.string().optional(), document_url: z.string().optional() })
  .meta({ id: 'Failure' });

/** Status 422: what of the request is not as it has to be. */
export const invalid = z.object({ errors: z.string() }).meta({ id: 'Invalid' });
