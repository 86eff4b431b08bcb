import type { Database } from '@d7y/manager-db';
import {
  AuditRepository,
  JobRepository,
  JobSecretRepository,
  PeerRepository,
  SchedulerRepository,
  Sealer,
  SeedPeerRepository,
  SessionRepository,
} from '@d7y/manager-db';
import type { Logger } from '@d7y/service-kit';
import type { ManagerConfig } from '../config/read-manager-config.ts';
import type { LeaderTask } from './leadership.ts';

/** Rows that one statement removes, so that none holds the tables up for long. */
const BATCH = 5_000;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Preheats that are kept however old they are. */
const MIN_PREHEATS = 100;

export interface RetentionContext {
  readonly database: Pick<Database, 'db'>;
  readonly config: Pick<ManagerConfig, 'job' | 'audit' | 'schedulers' | 'sealingKey'>;
  /** Epoch milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/** What removes rows that have had their time. A run that finds nothing leaves no trace. */
export function retentionTasks({ database: { db }, config, clock, logger }: RetentionContext): LeaderTask[] {
  const before = (ms: number): Date => new Date(clock() - ms);
  const removing = (name: string, intervalMs: number, remove: (limit: number) => Promise<number>): LeaderTask => ({
    name,
    intervalMs,
    async run({ signal }) {
      let count = 0;
      for (;;) {
        const removed = await remove(BATCH);
        count += removed;
        if (removed < BATCH || signal.aborted) break;
      }
      if (count > 0) logger.info({ task: name, count }, 'old rows were removed');
    },
  });
  const schedulers = new SchedulerRepository(db);
  const seedPeers = new SeedPeerRepository(db);
  const peers = new PeerRepository(db);
  const audits = new AuditRepository(db);
  const jobs = new JobRepository(db);
  const sessions = new SessionRepository(db);
  // Without a key there is nothing sealed.
  const secrets = config.sealingKey && new JobSecretRepository(db, new Sealer(config.sealingKey));
  const secretTasks =
    secrets === undefined
      ? []
      : [{ name: 'expire-secrets', intervalMs: 5 * MINUTE_MS, run: () => secrets.forgetExpired(new Date(clock())) }];
  return [
    removing('expire-schedulers', MINUTE_MS, (limit) =>
      schedulers.removeInactiveSince(before(config.schedulers.retention), limit),
    ),
    removing('expire-seed-peers', MINUTE_MS, (limit) =>
      seedPeers.removeInactiveSince(before(config.schedulers.retention), limit),
    ),
    removing('expire-peers', 60 * MINUTE_MS, (limit) => peers.removeUnseen(before(DAY_MS), limit)),
    removing('expire-audits', 60 * MINUTE_MS, (limit) => audits.removeBefore(before(config.audit.retention), limit)),
    removing('expire-jobs', 60 * MINUTE_MS, (limit) =>
      jobs.removeEndedBefore(before(config.job.retention), MIN_PREHEATS, limit),
    ),
    ...secretTasks,
    { name: 'expire-sessions', intervalMs: 60 * MINUTE_MS, run: () => sessions.removeExpired(new Date(clock())) },
  ];
}
