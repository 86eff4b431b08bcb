import type { AnswerOf } from '@d7y/manager-api';
import type { schema } from '@d7y/manager-db';
import { instantOf, storedFields } from './stored.ts';
import { toUser } from './users.ts';

type UserRow = typeof schema.users.$inferSelect;

export const toApplication = (
  row: typeof schema.applications.$inferSelect,
  user: UserRow | undefined,
): AnswerOf<'applications.get'> => ({
  ...storedFields(row),
  name: row.name,
  url: row.url,
  bio: row.bio,
  priority: row.priority === null ? null : { ...row.priority },
  user_id: row.userId ?? 0,
  user: user === undefined ? null : toUser(user),
});

/** Without the token: what is kept could not tell it. */
export const toPersonalAccessToken = (
  row: typeof schema.personalAccessTokens.$inferSelect,
  user: UserRow | undefined,
): AnswerOf<'personalAccessTokens.get'> => ({
  ...storedFields(row),
  name: row.name,
  bio: row.bio,
  token_prefix: row.tokenPrefix,
  scopes: row.scopes,
  state: row.state,
  expired_at: row.expiredAt.toISOString(),
  last_used_at: instantOf(row.lastUsedAt),
  user_id: row.userId,
  user: user === undefined ? null : toUser(user),
});

export const toConfig = (
  row: typeof schema.configs.$inferSelect,
  user: UserRow | undefined,
): AnswerOf<'configs.get'> => ({
  ...storedFields(row),
  name: row.name,
  value: row.value,
  bio: row.bio,
  user_id: row.userId ?? 0,
  user: user === undefined ? null : toUser(user),
});

export const toAudit = (row: typeof schema.audits.$inferSelect): AnswerOf<'audits.list'>[number] => ({
  ...storedFields(row),
  actor_type: row.actorType,
  actor_name: row.actorName,
  event_type: row.eventType,
  operation: row.operation,
  operated_at: row.operatedAt.toISOString(),
  state: row.state,
  path: row.path,
  status_code: row.statusCode,
  detail: { ...row.detail },
});
