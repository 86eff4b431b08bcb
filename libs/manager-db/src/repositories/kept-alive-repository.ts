import type { SQL } from 'drizzle-orm';
import { and, eq, gt, inArray, isNull, lt, lte, ne, or, sql } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import type { Db } from '../open-database.ts';
import { asked } from '../translate-error.ts';
import { activeUntil } from './keep-alive.ts';
import { TableRepository } from './table-repository.ts';

type Columns = 'id' | 'hostName' | 'ip' | 'activeUntil' | 'lastKeepAliveAt' | 'keepAliveIntervalMs' | 'updatedAt';
type KeptAliveTable = PgTable & Readonly<Record<Columns, PgColumn>>;

/** By which a service is known again. */
export interface ServiceIdentity {
  readonly hostName: string;
  readonly ip: string;
  /** The cluster of schedulers, or of seed peers, to which it belongs. */
  readonly clusterId: number;
}

export type ActivityState = 'active' | 'inactive';

/** Services that register and keep themselves alive: schedulers and seed peers. */
export abstract class KeptAliveRepository<T extends KeptAliveTable> extends TableRepository<T> {
  readonly #cluster: PgColumn;
  readonly #keepAlive;

  protected constructor(db: Db, table: T, cluster: PgColumn, what: string) {
    super(db, table, what);
    this.#cluster = cluster;
    const now = sql`${sql.placeholder('now')}::timestamptz`;
    // Every service, every few seconds.
    this.#keepAlive = db
      .update(table as PgTable)
      .set({
        lastKeepAliveAt: now,
        activeUntil: sql`${now} + 3 * ${table.keepAliveIntervalMs} * interval '1 millisecond'`,
      })
      .where(
        and(
          eq(table.hostName, sql.placeholder('hostName')),
          eq(table.ip, sql.placeholder('ip')),
          eq(cluster, sql.placeholder('clusterId')),
        ),
      )
      .returning({ id: table.id })
      .prepare(`${what.replaceAll(' ', '_')}_keep_alive`);
  }

  async findByIdentity(identity: ServiceIdentity): Promise<T['$inferSelect'] | undefined> {
    const [row] = await asked(this.rowsWhere(this.#is(identity)));
    return row;
  }

  /** Those of a cluster, active or not. */
  async ofCluster(clusterId: number): Promise<T['$inferSelect'][]> {
    return await asked(this.rowsWhere(eq(this.#cluster, clusterId)).orderBy(sql`${this.table.id}`));
  }

  /** @returns whether there is such a service; a keep-alive makes none */
  async keepAlive({ hostName, ip, clusterId }: ServiceIdentity, now: Date): Promise<boolean> {
    const rows = await asked(this.#keepAlive.execute({ hostName, ip, clusterId, now: now.toISOString() }));
    return rows.length > 0;
  }

  /**
   * Its stream has ended: it stays active for as long as the stream of its successor may take, one interval.
   * @param lastSeenAt of this stream; when another one has kept it alive since, nothing changes
   */
  async keepAliveEnded(identity: ServiceIdentity, lastSeenAt: Date, now: Date): Promise<void> {
    const { table } = this;
    const until = sql`${now.toISOString()}::timestamptz + ${table.keepAliveIntervalMs} * interval '1 millisecond'`;
    const isLast = and(this.#is(identity), lte(table.lastKeepAliveAt, lastSeenAt), gt(table.activeUntil, until));
    await asked(
      this.db
        .update(table as PgTable)
        .set({ activeUntil: until })
        .where(isLast),
    );
  }

  /** Removes those that have not been active since; returns how many, at most `limit`. */
  async removeInactiveSince(deadline: Date, limit: number): Promise<number> {
    const { table } = this;
    const isGone = and(or(isNull(table.activeUntil), lt(table.activeUntil, deadline)), lt(table.updatedAt, deadline));
    const rows: PgTable = table;
    const gone = this.db.select({ id: table.id }).from(rows).where(isGone).limit(limit);
    return (await asked(this.db.delete(table).where(inArray(table.id, gone)).returning({ id: table.id }))).length;
  }

  /**
   * A service tells of itself: its row is made or brought up to date, and counts as kept alive. A row of the same host name in the same
   * cluster with another address was its own, when that is no longer active, and goes.
   * @param target the columns by which it is known again
   */
  protected async registerRow(
    identity: ServiceIdentity,
    values: T['$inferInsert'] & { readonly keepAliveIntervalMs: number },
    target: PgColumn[],
    now: Date,
  ): Promise<T['$inferSelect']> {
    const { table } = this;
    const { hostName, ip, clusterId } = identity;
    const wasItself = and(eq(table.hostName, hostName), eq(this.#cluster, clusterId), ne(table.ip, ip));
    await asked(this.db.delete(table).where(and(wasItself, this.stateIs('inactive', now))));
    const alive = { lastKeepAliveAt: now, activeUntil: activeUntil(now, values.keepAliveIntervalMs), updatedAt: now };
    const [row] = await asked(
      this.db
        .insert(table)
        .values({ ...values, ...alive, createdAt: now } as never)
        .onConflictDoUpdate({ target, set: { ...values, ...alive } as never })
        .returning() as PromiseLike<T['$inferSelect'][]>,
    );
    return row as T['$inferSelect'];
  }

  protected stateIs(state: ActivityState | undefined, now: Date): SQL | undefined {
    const { activeUntil: until } = this.table;
    if (state === undefined) return undefined;
    return state === 'active' ? gt(until, now) : or(isNull(until), lte(until, now));
  }

  #is({ hostName, ip, clusterId }: ServiceIdentity): SQL | undefined {
    return and(eq(this.table.hostName, hostName), eq(this.table.ip, ip), eq(this.#cluster, clusterId));
  }
}
