import { and } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { schedulers } from '../schema/index.ts';
import { given } from './conditions.ts';
import type { ActivityState } from './kept-alive-repository.ts';
import { KeptAliveRepository } from './kept-alive-repository.ts';
import type { Page, Paged } from './page.ts';
import type { SchedulerRow } from './rows.ts';

export type SchedulerValues = Pick<
  SchedulerRow,
  'hostName' | 'ip' | 'port' | 'idc' | 'location' | 'config' | 'features' | 'schedulerClusterId'
>;

export interface SchedulerFilter {
  readonly hostName?: string | undefined;
  readonly ip?: string | undefined;
  readonly idc?: string | undefined;
  readonly location?: string | undefined;
  readonly schedulerClusterId?: number | undefined;
  readonly state?: ActivityState | undefined;
}

export class SchedulerRepository extends KeptAliveRepository<typeof schedulers> {
  constructor(db: Db) {
    super(db, schedulers, schedulers.schedulerClusterId, 'scheduler');
  }

  page({ state, ...filter }: SchedulerFilter, page: Page, now: Date): Promise<Paged<SchedulerRow>> {
    return this.pageOf(and(this.equals(filter), this.stateIs(state, now)), page);
  }

  /** @throws {AlreadyExistsError} {@link ReferenceNotFoundError} */
  create(values: SchedulerValues, now: Date): Promise<SchedulerRow> {
    return this.insert({ ...values, createdAt: now, updatedAt: now });
  }

  /** @throws {NotFoundError} {@link AlreadyExistsError} {@link ReferenceNotFoundError} */
  update(id: number, change: Partial<SchedulerValues>, now: Date): Promise<SchedulerRow> {
    return this.change(id, { ...given(change), updatedAt: now });
  }

  /** @throws {ReferenceNotFoundError} there is no such cluster */
  register(values: SchedulerValues & { readonly keepAliveIntervalMs: number }, now: Date): Promise<SchedulerRow> {
    const target = [schedulers.hostName, schedulers.ip, schedulers.schedulerClusterId];
    return this.registerRow({ ...values, clusterId: values.schedulerClusterId }, values, target, now);
  }
}
