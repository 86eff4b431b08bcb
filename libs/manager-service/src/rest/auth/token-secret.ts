import { createHash, randomBytes } from 'node:crypto';

/** 256 bits: nobody guesses them, so a plain hash suffices to recognise them. */
const SECRET_BYTES = 32;
/** Characters that are kept in clear; those of the secret among them say too little to help in guessing the rest. */
const PREFIX_LENGTH = 10;

export const PERSONAL_TOKEN = 'dfp_';
export const REFRESH_TOKEN = 'dfr_';

/** A random token with a beginning that says what it is. */
export const makeToken = (kind: typeof PERSONAL_TOKEN | typeof REFRESH_TOKEN): string =>
  kind + randomBytes(SECRET_BYTES).toString('base64url');

/** SHA-256 in hex, by which a token is known again. */
export const hashToken = (token: string): string => createHash('sha256').update(token).digest('hex');

/** First characters, to tell tokens apart. */
export const prefixOf = (token: string): string => token.slice(0, PREFIX_LENGTH);
