import type * as schema from '../schema/index.ts';

export type ApplicationRow = typeof schema.applications.$inferSelect;
export type AuditRow = typeof schema.audits.$inferSelect;
export type ConfigRow = typeof schema.configs.$inferSelect;
export type JobRow = typeof schema.jobs.$inferSelect;
export type OauthRow = typeof schema.oauths.$inferSelect;
export type PeerRow = typeof schema.peers.$inferSelect;
export type PersonalAccessTokenRow = typeof schema.personalAccessTokens.$inferSelect;
export type SchedulerClusterRow = typeof schema.schedulerClusters.$inferSelect;
export type SchedulerRow = typeof schema.schedulers.$inferSelect;
export type SeedPeerClusterRow = typeof schema.seedPeerClusters.$inferSelect;
export type SeedPeerRow = typeof schema.seedPeers.$inferSelect;
export type TaskHistoryRow = typeof schema.taskHistory.$inferSelect;
export type UserRow = typeof schema.users.$inferSelect;
