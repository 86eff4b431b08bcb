import { randomBytes } from 'node:crypto';
import { Secret } from '@d7y/service-kit';

/** 120 bits in 20 characters, the longest that every client takes. */
const PASSWORD_BYTES = 15;

export function randomPassword(): Secret {
  return new Secret(randomBytes(PASSWORD_BYTES).toString('base64url'));
}
