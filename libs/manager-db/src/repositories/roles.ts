import { and, eq } from 'drizzle-orm';
import { AlreadyExistsError, NotFoundError } from '../errors.ts';
import type { Db } from '../open-database.ts';
import { rolePermissions, roles } from '../schema/index.ts';
import { asked } from '../translate-error.ts';

export interface Permission {
  /** A group of routes, such as `clusters`. */
  readonly object: string;
  readonly action: 'read' | '*';
}

export class RoleRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async names(): Promise<string[]> {
    const rows = await asked(this.#db.select({ name: roles.name }).from(roles).orderBy(roles.name));
    return rows.map(({ name }) => name);
  }

  /** What every role may do, also those that may do nothing. */
  async permissions(): Promise<Map<string, Permission[]>> {
    const rows = await asked(
      this.#db
        .select({ name: roles.name, object: rolePermissions.object, action: rolePermissions.action })
        .from(roles)
        .leftJoin(rolePermissions, eq(rolePermissions.roleId, roles.id))
        .orderBy(roles.name, rolePermissions.object, rolePermissions.action),
    );
    const permissions = new Map<string, Permission[]>();
    for (const { name, object, action } of rows) {
      const of = permissions.get(name) ?? [];
      permissions.set(name, of);
      if (object !== null && action !== null) of.push({ object, action });
    }
    return permissions;
  }

  /** @throws {NotFoundError} */
  async permissionsOf(name: string): Promise<Permission[]> {
    const roleId = await this.#idOf(name);
    return await asked(
      this.#db
        .select({ object: rolePermissions.object, action: rolePermissions.action })
        .from(rolePermissions)
        .where(eq(rolePermissions.roleId, roleId))
        .orderBy(rolePermissions.object, rolePermissions.action),
    );
  }

  /** Run it in a transaction. @throws {AlreadyExistsError} */
  async create(name: string, permissions: readonly Permission[], now: Date): Promise<void> {
    const values = { name, createdAt: now, updatedAt: now };
    const [role] = await asked(this.#db.insert(roles).values(values).returning({ id: roles.id }));
    if (role === undefined || permissions.length === 0) return;
    const rows = permissions.map(({ object, action }) => ({ roleId: role.id, object, action }));
    await asked(this.#db.insert(rolePermissions).values(rows).onConflictDoNothing());
  }

  /** Nobody has it afterwards. @throws {NotFoundError} */
  async remove(name: string): Promise<void> {
    const removed = await asked(this.#db.delete(roles).where(eq(roles.name, name)).returning({ id: roles.id }));
    if (removed.length === 0) throw new NotFoundError('role', name);
  }

  /** @throws {NotFoundError} no such role {@link AlreadyExistsError} it may already */
  async allow(name: string, { object, action }: Permission): Promise<void> {
    const roleId = await this.#idOf(name);
    const added = this.#db.insert(rolePermissions).values({ roleId, object, action }).onConflictDoNothing();
    const rows = await asked(added.returning({ object: rolePermissions.object }));
    if (rows.length === 0) throw new AlreadyExistsError(`permission of role ${name}`, 'role_permission');
  }

  /** @throws {NotFoundError} no such role, or it may not */
  async disallow(name: string, { object, action }: Permission): Promise<void> {
    const is = and(
      ...[eq(rolePermissions.roleId, await this.#idOf(name)), eq(rolePermissions.object, object)],
      eq(rolePermissions.action, action),
    );
    const rows = await asked(this.#db.delete(rolePermissions).where(is).returning({ object: rolePermissions.object }));
    if (rows.length === 0) throw new NotFoundError(`permission of role ${name}`, `${object} ${action}`);
  }

  async #idOf(name: string): Promise<number> {
    const [row] = await asked(this.#db.select({ id: roles.id }).from(roles).where(eq(roles.name, name)));
    if (row === undefined) throw new NotFoundError('role', name);
    return row.id;
  }
}
