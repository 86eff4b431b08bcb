import type { Database } from '@d7y/manager-db';
import {
  AuditRepository,
  inBatches,
  JobIntake,
  JobRepository,
  KEPT_PREHEATS,
  PeerRepository,
  SchedulerRepository,
  SeedPeerRepository,
  SessionRepository,
  TaskHistoryRepository,
} from '@d7y/manager-db';
import type { Logger } from '@d7y/service-kit';
import type { ManagerConfig } from '../config/read-manager-config.ts';
import type { LeaderTask } from './leadership.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

export interface RetentionContext {
  readonly database: Database;
  readonly config: Pick<ManagerConfig, 'job' | 'audit' | 'schedulers' | 'taskHistory'>;
  /** Epoch milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/** What removes rows that have had their time. A run that finds nothing leaves no trace. */
export function retentionTasks({ database, config, clock, logger }: RetentionContext): LeaderTask[] {
  const { db } = database;
  const before = (ms: number): Date => new Date(clock() - ms);
  const removing = (name: string, intervalMs: number, remove: (limit: number) => Promise<number>): LeaderTask => ({
    name,
    intervalMs,
    async run({ signal }) {
      const count = await inBatches(remove, { signal });
      if (count > 0) logger.info({ task: name, count }, 'old rows were removed');
    },
  });
  const schedulers = new SchedulerRepository(db);
  const seedPeers = new SeedPeerRepository(db);
  const peers = new PeerRepository(db);
  const tasks = new TaskHistoryRepository(db);
  const audits = new AuditRepository(db);
  const jobs = new JobRepository(db);
  const intake = new JobIntake(database);
  const sessions = new SessionRepository(db);
  return [
    removing('expire-schedulers', MINUTE_MS, (limit) =>
      schedulers.removeInactiveSince(before(config.schedulers.retention), limit),
    ),
    removing('expire-seed-peers', MINUTE_MS, (limit) =>
      seedPeers.removeInactiveSince(before(config.schedulers.retention), limit),
    ),
    removing('expire-peers', 60 * MINUTE_MS, (limit) => peers.removeUnseen(before(DAY_MS), limit)),
    removing('expire-tasks', 60 * MINUTE_MS, (limit) =>
      tasks.removeUnseen(before(config.taskHistory.retention), limit),
    ),
    removing('limit-tasks', 10 * MINUTE_MS, (limit) => tasks.removeBeyond(config.taskHistory.maxTasks, limit)),
    removing('expire-audits', 60 * MINUTE_MS, (limit) => audits.removeBefore(before(config.audit.retention), limit)),
    removing('expire-jobs', 60 * MINUTE_MS, (limit) =>
      jobs.removeEndedBefore(before(config.job.retention), KEPT_PREHEATS, limit),
    ),
    { name: 'expire-secrets', intervalMs: 5 * MINUTE_MS, run: () => intake.forgetSecrets(new Date(clock())) },
    { name: 'expire-sessions', intervalMs: 60 * MINUTE_MS, run: () => sessions.removeExpired(new Date(clock())) },
  ];
}
