import type { Db } from '../open-database.ts';
import { oauths } from '../schema/index.ts';
import { given } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import type { OauthRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

export type OauthValues = Pick<OauthRow, 'name' | 'bio' | 'clientId' | 'sealedClientSecret' | 'redirectUrl'>;

export class OauthRepository extends TableRepository<typeof oauths> {
  constructor(db: Db) {
    super(db, oauths, 'oauth');
  }

  page(
    filter: { readonly name?: string | undefined; readonly clientId?: string | undefined },
    page: Page,
  ): Promise<Paged<OauthRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  /** @throws {AlreadyExistsError} name or client are there already */
  create(values: OauthValues, now: Date): Promise<OauthRow> {
    return this.insert({ ...values, createdAt: now, updatedAt: now });
  }

  /** @throws {NotFoundError} {@link AlreadyExistsError} */
  update(id: number, change: Partial<OauthValues>, now: Date): Promise<OauthRow> {
    return this.change(id, { ...given(change), updatedAt: now });
  }
}
