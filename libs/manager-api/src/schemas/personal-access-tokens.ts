import { z } from 'zod';
import { activity, bio, id, instant, name, paging, stored, textId, timestamp } from './fields.ts';
import { user } from './users.ts';

/** What a token may be used for. Those with `:read` for GET only; without it for everything. */
export const TOKEN_SCOPES = ['job', 'cluster', 'job:read', 'cluster:read'] as const;
export const tokenScope = z.enum(TOKEN_SCOPES);
export type TokenScope = z.output<typeof tokenScope>;

/** What a token gets that was made without scopes. */
export const DEFAULT_TOKEN_SCOPES: readonly TokenScope[] = ['job', 'cluster'];

const tokenFields = {
  ...stored,
  name: z.string(),
  bio: z.string(),
  /** First characters, to tell it from others. */
  token_prefix: z.string(),
  scopes: z.array(z.string()),
  state: activity,
  expired_at: timestamp,
  last_used_at: timestamp.nullable(),
  user_id: id,
  user: user.nullable(),
};

export const personalAccessToken = z.object(tokenFields).meta({ id: 'PersonalAccessToken' });

/** The only answer with the token itself. */
export const createdToken = z.object({ ...tokenFields, token: z.string() }).meta({ id: 'CreatedPersonalAccessToken' });

export const createToken = z.strictObject({
  name,
  bio: bio.optional(),
  expired_at: instant,
  user_id: id,
  scopes: z.array(tokenScope).max(TOKEN_SCOPES.length).nullish(),
});

/** What is absent stays as it is. */
export const updateToken = z.strictObject({
  bio: bio.optional(),
  scopes: z.array(tokenScope).min(1).max(TOKEN_SCOPES.length).optional(),
  state: activity.optional(),
  expired_at: instant.optional(),
  user_id: id.optional(),
});

export const tokenQuery = z.strictObject({ state: activity.optional(), user_id: textId.optional(), ...paging });
