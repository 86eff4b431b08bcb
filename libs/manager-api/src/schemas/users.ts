import { z } from 'zod';
import { bio, idParams, line, paging, stored, timestamp, url } from './fields.ts';

/** The published manager takes 3 to 10 characters. */
const userName = line(64).min(3);
/** The published manager takes 8 to 20 characters. */
const newPassword = z.string().min(8).max(128);
/** A password that is only compared: what rules were in force when it was chosen does not matter. */
const knownPassword = z.string().min(1).max(128);
const email = z.email().max(256);
const phone = line(256);
const avatar = z.union([url, z.literal('')]);
const location = line(1_024);
const userState = z.enum(['enable', 'disable']);

export const roleName = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be letters, digits, ".", "_" and "-"');

export const user = z
  .object({
    ...stored,
    email: z.string(),
    name: z.string(),
    avatar: z.string(),
    phone: z.string(),
    state: userState,
    location: z.string(),
    bio: z.string(),
    configs: z.null(),
  })
  .meta({ id: 'User' });

/** Who asks, and what they may: what a console needs to know of itself. */
export const me = z
  .object({
    ...user.shape,
    roles: z.array(z.string()),
    permissions: z.array(z.object({ object: z.string(), action: z.enum(['read', '*']) })),
  })
  .meta({ id: 'Me' });

export const signIn = z.strictObject({ name: userName, password: knownPassword });

/** A signed token for `Authorization: Bearer`, when it ends, and what gets the next one. Browsers need neither: they get cookies. */
export const session = z
  .object({ token: z.string(), expire: timestamp, refresh_token: z.string(), refresh_expire: timestamp })
  .meta({ id: 'Session' });

/** Without a body the cookie counts. */
export const refreshToken = z.strictObject({ refresh_token: z.string().min(1).max(256).optional() }).nullish();

export const signUp = z.strictObject({
  name: userName,
  password: newPassword,
  email,
  phone: phone.optional(),
  avatar: avatar.optional(),
  location: location.optional(),
  bio: bio.optional(),
});

/** The old password is needed by everybody but root, who may set those of others. */
export const resetPassword = z.strictObject({ old_password: knownPassword.optional(), new_password: newPassword });

export const updateUser = z.strictObject({
  email: email.optional(),
  phone: phone.optional(),
  avatar: avatar.optional(),
  location: location.optional(),
  bio: bio.optional(),
  /** Not one's own. */
  state: userState.optional(),
});

export const userQuery = z.strictObject({
  name: userName.optional(),
  email: line(256).optional(),
  location: location.optional(),
  state: userState.optional(),
  ...paging,
});

export const userRoleParams = z.strictObject({ ...idParams.shape, role: roleName });
