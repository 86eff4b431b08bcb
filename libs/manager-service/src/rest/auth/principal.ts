import type { TokenScope } from '@d7y/manager-api';

/** Who asks. */
export type Principal =
  /** By configuration this route is open, and no credentials came. */
  | { readonly kind: 'nobody' }
  | {
      readonly kind: 'user';
      readonly userId: number;
      readonly name: string;
      readonly roles: readonly string[];
      /** Which sign-in it is. */
      readonly sessionId: string;
      /** The session came as a cookie, which browsers send without being asked. */
      readonly isFromCookie: boolean;
    }
  | {
      readonly kind: 'token';
      readonly userId: number;
      /** Of the token. */
      readonly name: string;
      /** Of its owner. */
      readonly roles: readonly string[];
      readonly scopes: readonly TokenScope[];
    };

export const NOBODY: Principal = { kind: 'nobody' };

/** The role that may everything, and that somebody always has. */
export const ROOT = 'root';
/** The role that new users get. */
export const GUEST = 'guest';

export const isRoot = (principal: Principal): boolean => principal.kind !== 'nobody' && principal.roles.includes(ROOT);

/** The user who answers for what is done; undefined for nobody. */
export const userIdOf = (principal: Principal): number | undefined =>
  principal.kind === 'nobody' ? undefined : principal.userId;
