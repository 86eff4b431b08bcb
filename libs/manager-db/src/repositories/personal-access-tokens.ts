import { and, eq, isNull, lt, or, sql } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { personalAccessTokens } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { given } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import type { PersonalAccessTokenRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

/** A token that is used all the time is not written down all the time. */
const USE_IS_NOTED_EVERY_MS = 60_000;

export class PersonalAccessTokenRepository extends TableRepository<typeof personalAccessTokens> {
  readonly #byHash;

  constructor(db: Db) {
    super(db, personalAccessTokens, 'personal access token');
    this.#byHash = db
      .select()
      .from(personalAccessTokens)
      .where(eq(personalAccessTokens.tokenHash, sql.placeholder('hash')))
      .prepare('personal_access_token_by_hash');
  }

  page(
    filter: { readonly state?: PersonalAccessTokenRow['state'] | undefined; readonly userId?: number | undefined },
    page: Page,
  ): Promise<Paged<PersonalAccessTokenRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  /** @param hash see token-secret.ts */
  async findByHash(hash: string): Promise<PersonalAccessTokenRow | undefined> {
    const [row] = await asked(this.#byHash.execute({ hash }));
    return row;
  }

  /** @throws {AlreadyExistsError} the name is taken {@link ReferenceNotFoundError} no such user */
  create(
    values: Pick<
      PersonalAccessTokenRow,
      'name' | 'bio' | 'tokenHash' | 'tokenPrefix' | 'scopes' | 'expiredAt' | 'userId'
    >,
    now: Date,
  ): Promise<PersonalAccessTokenRow> {
    return this.insert({ ...values, createdAt: now, updatedAt: now });
  }

  /** @throws {NotFoundError} {@link ReferenceNotFoundError} no such user */
  update(
    id: number,
    change: Partial<Pick<PersonalAccessTokenRow, 'bio' | 'scopes' | 'state' | 'expiredAt' | 'userId'>>,
    now: Date,
  ): Promise<PersonalAccessTokenRow> {
    return this.change(id, { ...given(change), updatedAt: now });
  }

  /** Remembers that the token was used, to the minute. */
  async noteUse(id: number, now: Date): Promise<void> {
    const { lastUsedAt } = personalAccessTokens;
    const isOld = or(isNull(lastUsedAt), lt(lastUsedAt, new Date(now.getTime() - USE_IS_NOTED_EVERY_MS)));
    await asked(
      this.db
        .update(personalAccessTokens)
        .set({ lastUsedAt: now })
        .where(and(eq(personalAccessTokens.id, id), isOld)),
    );
  }
}
