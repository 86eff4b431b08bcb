import { z } from 'zod';
import { roleName } from './users.ts';

/** `read` is GET; `*` is everything. */
export const action = z.enum(['read', '*']);

/** A right: what may be done with which group of routes. */
export const permission = z.strictObject({ object: z.string().min(1).max(64), action }).meta({ id: 'Permission' });

export const createRole = z.strictObject({ role: roleName, permissions: z.array(permission).max(256) });

export const roleParams = z.strictObject({ role: roleName });

/** Rows of role, object and action. */
export const policies = z.array(z.tuple([z.string(), z.string(), z.string()]));
