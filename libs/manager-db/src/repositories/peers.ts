import { and, count, eq, inArray, lt } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { peers } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { fromNewRow } from './from-new-row.ts';
import type { Page, Paged } from './page.ts';
import type { PeerRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

export type PeerValues = Omit<PeerRow, 'id' | 'createdAt' | 'updatedAt' | 'lastSeenAt'>;
export type PeerFilter = { readonly [K in keyof PeerValues]?: PeerValues[K] | undefined };

/** Peers that have all of this in common. */
export interface PeerCount extends Pick<PeerRow, 'schedulerClusterId' | 'type' | 'state'> {
  readonly count: number;
}

/** Statements have 65,535 parameters at most; a peer takes 24. */
const BATCH = 1_000;

export class PeerRepository extends TableRepository<typeof peers> {
  constructor(db: Db) {
    super(db, peers, 'peer');
  }

  page(filter: PeerFilter, page: Page): Promise<Paged<PeerRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  /** @throws {AlreadyExistsError} {@link ReferenceNotFoundError} */
  create(values: PeerValues, now: Date): Promise<PeerRow> {
    return this.insert({ ...values, createdAt: now, updatedAt: now, lastSeenAt: now });
  }

  /** Writes down what schedulers told: new peers, and what has changed of known ones. The identities must differ. */
  async mergeSeen(seen: readonly PeerValues[], now: Date): Promise<void> {
    for (let start = 0; start < seen.length; start += BATCH) {
      const values = seen.slice(start, start + BATCH).map((value) => ({ ...value, ...stamps(now), createdAt: now }));
      await asked(
        this.db
          .insert(peers)
          .values(values)
          .onConflictDoUpdate({ target: [peers.hostName, peers.ip, peers.schedulerClusterId], set: FROM_NEW }),
      );
    }
  }

  /** Marks those of a cluster inactive that no scheduler has told of since; returns how many changed. */
  async markUnseen(schedulerClusterId: number, since: Date, now: Date): Promise<number> {
    const unseen = and(
      ...[eq(peers.schedulerClusterId, schedulerClusterId), lt(peers.lastSeenAt, since), eq(peers.state, 'active')],
    );
    const set = { state: 'inactive', updatedAt: now } as const;
    return (await asked(this.db.update(peers).set(set).where(unseen).returning({ id: peers.id }))).length;
  }

  /** How many there are of each kind. */
  async counts(): Promise<readonly PeerCount[]> {
    const kind = { schedulerClusterId: peers.schedulerClusterId, type: peers.type, state: peers.state };
    return await asked(
      this.db
        .select({ ...kind, count: count() })
        .from(peers)
        .groupBy(kind.schedulerClusterId, kind.type, kind.state),
    );
  }

  /** Removes those that no scheduler has told of since; returns how many, at most `limit`. */
  async removeUnseen(since: Date, limit: number): Promise<number> {
    const unseen = this.db.select({ id: peers.id }).from(peers).where(lt(peers.lastSeenAt, since)).limit(limit);
    return (await asked(this.db.delete(peers).where(inArray(peers.id, unseen)).returning({ id: peers.id }))).length;
  }
}

const stamps = (now: Date) => ({ updatedAt: now, lastSeenAt: now });

/** Each column of a row that is there already becomes what the new row would have had. */
const FROM_NEW = fromNewRow(peers, ['id', 'createdAt', 'hostName', 'ip', 'schedulerClusterId']);
