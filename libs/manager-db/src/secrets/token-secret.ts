import { createHash, randomBytes } from 'node:crypto';
import { Secret } from '@d7y/service-kit';

/** 256 bits: nobody guesses them, so a plain hash suffices to know them again. */
const RANDOM_BYTES = 32;
/** What is kept in clear; those of the random characters among them help nobody to guess the rest. */
const PREFIX_LENGTH = 10;

/** Beginnings by which people and scanners see what a token is. */
export const TOKEN_KINDS = { personal: 'dfp_', refresh: 'dfr_' } as const;
export type TokenKind = keyof typeof TOKEN_KINDS;

export function makeToken(kind: TokenKind): Secret {
  return new Secret(TOKEN_KINDS[kind] + randomBytes(RANDOM_BYTES).toString('base64url'));
}

/** SHA-256 in hex: what is stored of a token. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** First characters, to tell tokens apart. */
export function prefixOf(token: string): string {
  return token.slice(0, PREFIX_LENGTH);
}
