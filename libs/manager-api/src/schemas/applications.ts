import { z } from 'zod';
import { bio, id, line, name, paging, stored, url } from './fields.ts';
import { user } from './users.ts';

/** The levels of the published protocol; the published manager takes up to 20, which no scheduler knows. */
const level = z.int().min(0).max(6);

const priority = z.strictObject({
  value: level,
  urls: z
    .array(z.strictObject({ regex: line(1_024).min(1), value: level }))
    .max(1_000)
    .nullish(),
});

export const application = z
  .object({
    ...stored,
    name: z.string(),
    url: z.string(),
    bio: z.string(),
    priority: z.record(z.string(), z.unknown()).nullable(),
    user_id: z.int().min(0),
    user: user.nullable(),
  })
  .meta({ id: 'Application' });

export const createApplication = z.strictObject({ name, url, bio: bio.optional(), priority, user_id: id });
export const updateApplication = createApplication.partial();
export const applicationQuery = z.strictObject({
  name: line(256).optional(),
  user_id: z.coerce.number().int().min(1).optional(),
  ...paging,
});
