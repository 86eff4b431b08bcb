import { and, eq } from 'drizzle-orm';
import { AlreadyExistsError, NotFoundError } from '../errors.ts';
import type { Db } from '../open-database.ts';
import { roleBindings, roles, users } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { given } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import type { UserRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

export type UserProfile = Pick<UserRow, 'email' | 'phone' | 'avatar' | 'location' | 'bio'>;

export interface UserFilter {
  readonly name?: string | undefined;
  readonly email?: string | undefined;
  readonly location?: string | undefined;
  readonly state?: UserRow['state'] | undefined;
}

export class UserRepository extends TableRepository<typeof users> {
  constructor(db: Db) {
    super(db, users, 'user');
  }

  page(filter: UserFilter, page: Page): Promise<Paged<UserRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  async findByName(name: string): Promise<UserRow | undefined> {
    const [row] = await asked(this.db.select().from(users).where(eq(users.name, name)));
    return row;
  }

  /** Whoever an identity provider calls `subject`. */
  async findAtProvider(provider: string, subject: string): Promise<UserRow | undefined> {
    const isHim = and(eq(users.provider, provider), eq(users.providerSubject, subject));
    const [row] = await asked(this.db.select().from(users).where(isHim));
    return row;
  }

  /** @throws {AlreadyExistsError} name, e-mail address or identity at a provider is taken */
  create(
    values: Pick<UserRow, 'name'> &
      Partial<UserProfile & Pick<UserRow, 'passwordHash' | 'provider' | 'providerSubject'>>,
    now: Date,
  ): Promise<UserRow> {
    return this.insert({ ...values, createdAt: now, updatedAt: now });
  }

  /** @throws {NotFoundError} {@link AlreadyExistsError} the e-mail address is taken */
  update(id: number, change: Partial<UserProfile & Pick<UserRow, 'state'>>, now: Date): Promise<UserRow> {
    return this.change(id, { ...given(change), updatedAt: now });
  }

  /** Sessions that began before `now` count no more. @throws {NotFoundError} */
  async changePassword(id: number, passwordHash: string, now: Date): Promise<void> {
    await this.change(id, { passwordHash, passwordChangedAt: now, updatedAt: now });
  }

  async rolesOf(id: number): Promise<string[]> {
    const rows = await asked(
      this.db
        .select({ name: roles.name })
        .from(roleBindings)
        .innerJoin(roles, eq(roles.id, roleBindings.roleId))
        .where(eq(roleBindings.userId, id))
        .orderBy(roles.name),
    );
    return rows.map(({ name }) => name);
  }

  /** Enabled users who have a role. Until the transaction ends nobody else changes who they are. */
  async lockHoldersOf(role: string): Promise<number[]> {
    const rows = await asked(
      this.db
        .select({ id: users.id })
        .from(users)
        .innerJoin(roleBindings, eq(roleBindings.userId, users.id))
        .innerJoin(roles, eq(roles.id, roleBindings.roleId))
        .where(and(eq(roles.name, role), eq(users.state, 'enable')))
        .orderBy(users.id)
        .for('update'),
    );
    return rows.map(({ id }) => id);
  }

  /** @throws {NotFoundError} no such role {@link ReferenceNotFoundError} no such user {@link AlreadyExistsError} the user has it */
  async giveRole(id: number, role: string): Promise<void> {
    const roleId = await this.#roleId(role);
    const bindings = this.db.insert(roleBindings).values({ userId: id, roleId }).onConflictDoNothing();
    const given = await asked(bindings.returning({ userId: roleBindings.userId }));
    if (given.length === 0) throw new AlreadyExistsError(`role ${role} of user ${id}`, 'role_binding');
  }

  /** @throws {NotFoundError} no such role, or the user does not have it */
  async takeRole(id: number, role: string): Promise<void> {
    const is = and(eq(roleBindings.userId, id), eq(roleBindings.roleId, await this.#roleId(role)));
    const taken = await asked(this.db.delete(roleBindings).where(is).returning({ userId: roleBindings.userId }));
    if (taken.length === 0) throw new NotFoundError(`role of user ${id}`, role);
  }

  async #roleId(name: string): Promise<number> {
    const [row] = await asked(this.db.select({ id: roles.id }).from(roles).where(eq(roles.name, name)));
    if (row === undefined) throw new NotFoundError('role', name);
    return row.id;
  }
}
