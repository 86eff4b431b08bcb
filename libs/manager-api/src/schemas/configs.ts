import { z } from 'zod';
import { bio, id, name, paging, prose, stored, textId } from './fields.ts';
import { user } from './users.ts';

const value = prose(1_024);

export const config = z
  .object({
    ...stored,
    name: z.string(),
    value: z.string(),
    bio: z.string(),
    user_id: z.int().min(0),
    user: user.nullable(),
  })
  .meta({ id: 'Config' });

export const createConfig = z.strictObject({ name, value, user_id: id, bio: bio.optional() });
export const updateConfig = createConfig.partial();
export const configQuery = z.strictObject({
  name: name.optional(),
  value: value.optional(),
  user_id: textId.optional(),
  ...paging,
});
