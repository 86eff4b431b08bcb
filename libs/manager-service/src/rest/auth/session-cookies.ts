import { PREFIXES } from '@d7y/manager-api';
import type { CookieSerializeOptions } from '@fastify/cookie';
import type { Call } from '../call.ts';
import { SESSION_COOKIE } from './gate.ts';
import type { SessionTokens } from './sessions.ts';

export interface CookieSettings {
  /** Over TLS only. */
  readonly secure: boolean;
  readonly sameSite: 'strict' | 'lax' | 'none';
}

type Setter = Pick<Call<'users.signIn'>, 'setCookie'>;

export const REFRESH_COOKIE = 'refresh_token';
/** Sent only where it is of use. */
const REFRESH_PATH = `${PREFIXES.session}/users`;

/** Gives a browser its session: scripts cannot read it, and the means to prolong it goes to one place only. */
export function setSessionCookies(call: Setter, tokens: SessionTokens, settings: CookieSettings): void {
  call.setCookie(SESSION_COOKIE, tokens.token, { ...attributes(settings), path: '/', expires: tokens.expiresAt });
  call.setCookie(REFRESH_COOKIE, tokens.refreshToken, {
    ...attributes(settings),
    sameSite: 'strict',
    path: REFRESH_PATH,
    expires: tokens.refreshExpiresAt,
  });
}

export function clearSessionCookies(call: Setter, settings: CookieSettings): void {
  const gone = { ...attributes(settings), expires: new Date(0), maxAge: 0 };
  call.setCookie(SESSION_COOKIE, '', { ...gone, path: '/' });
  call.setCookie(REFRESH_COOKIE, '', { ...gone, sameSite: 'strict', path: REFRESH_PATH });
}

const attributes = ({ secure, sameSite }: CookieSettings): CookieSerializeOptions => ({
  httpOnly: true,
  secure,
  sameSite,
});
