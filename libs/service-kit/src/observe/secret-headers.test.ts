import { describe, expect, it } from '@jest/globals';
import { isSecretHeader } from './secret-headers.ts';

describe('isSecretHeader', () => {
  it.each([
    'Authorization',
    'COOKIE',
    'x-registry-auth',
    'X-Api-Key',
    'x-apikey',
    'X-Amz-Security-Token',
    'My-Session',
  ])('takes %s for a secret', (name) => {
    expect(isSecretHeader(name)).toBe(true);
  });

  it.each(['accept', 'User-Agent', 'x-request-id', 'range'])('tells %s to everybody', (name) => {
    expect(isSecretHeader(name)).toBe(false);
  });
});
