import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ChallengeRealmError, TokenResponseError } from './errors.ts';
import { MAX_TOKEN_RESPONSE_BYTES, parseTokenResponse, pullScopeOf, tokenRequestUrl } from './token.ts';

const NOW = 1_700_000_000_000;
const challenge = (realm: string, rest: { service?: string; scope?: string } = {}) => ({
  ...{ scheme: 'bearer' as const, realm, service: undefined, scope: undefined, error: undefined },
  ...rest,
});
const REGISTRY = 'https://registry.example/v2/';
const answer = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

describe('tokenRequestUrl', () => {
  it('asks for the service and each scope', () => {
    const wanted = challenge('https://auth.example/token', {
      service: 'the registry',
      scope: 'a:b:pull,push  c:d:pull a:b:pull,push',
    });
    expect(tokenRequestUrl(wanted, REGISTRY)).toBe(
      'https://auth.example/token?service=the+registry&scope=a%3Ab%3Apull%2Cpush&scope=c%3Ad%3Apull',
    );
  });

  it('keeps what the realm asks for, and lets the caller choose the scope', () => {
    const wanted = challenge('https://auth.example/token?tenant=1#part', { scope: 'registry:catalog:*' });
    expect(tokenRequestUrl(wanted, REGISTRY, pullScopeOf('org/app'))).toBe(
      'https://auth.example/token?tenant=1&scope=repository%3Aorg%2Fapp%3Apull',
    );
  });

  it('takes a realm without TLS only from a registry without TLS', () => {
    const wanted = challenge('http://auth.example/token');
    expect(tokenRequestUrl(wanted, 'http://registry.example/v2/')).toBe('http://auth.example/token');
    expect(() => tokenRequestUrl(wanted, REGISTRY)).toThrow(ChallengeRealmError);
  });

  it.each([
    '',
    'token',
    'ftp://auth.example/',
    'file:///etc/passwd',
    'https://user@auth.example/',
    'https://:p@auth.example/',
  ])('refuses the realm %j', (realm) => {
    expect(() => tokenRequestUrl(challenge(realm), REGISTRY)).toThrow(ChallengeRealmError);
  });
});

describe('parseTokenResponse', () => {
  it.each([
    [{ token: 'abc' }, 60],
    [{ access_token: 'abc', expires_in: 300 }, 300],
    [{ token: 'abc', access_token: 'other', expires_in: 0.5 }, 60],
    [{ token: 'abc', expires_in: 1e12, issued_at: 'nonsense' }, 24 * 3600],
    [{ token: 'abc', expires_in: -1, refresh_token: 'x' }, 60],
  ])('reads %j', (value, seconds) => {
    expect(parseTokenResponse(answer(value), NOW)).toEqual({ token: 'abc', expiresAtMs: NOW + seconds * 1000 });
  });

  it.each([
    [''],
    ['null'],
    ['[]'],
    ['"abc"'],
    [{}],
    [{ token: '' }],
    [{ token: 5 }],
    [{ token: 'two words' }],
    [{ token: 'line\r\nInjected: header' }],
    [{ token: 'abc', expires_in: '300' }],
    [{ token: 'x'.repeat(MAX_TOKEN_RESPONSE_BYTES) }],
  ])('refuses %j', (value) => {
    expect(() => parseTokenResponse(answer(value), NOW)).toThrow(TokenResponseError);
  });

  it('gives a token fit for a header, or its own error, for any JSON', () => {
    const field = fc.constantFrom('token', 'access_token', 'expires_in', 'issued_at');
    const value = fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' }), fc.constant('abc'), fc.double());
    fc.assert(
      fc.property(fc.dictionary(field, value), (document) => {
        try {
          const { token, expiresAtMs } = parseTokenResponse(answer(document), NOW);
          expect(() => new Headers({ authorization: `Bearer ${token}` })).not.toThrow();
          expect(expiresAtMs).toBeGreaterThan(NOW);
          expect(expiresAtMs).toBeLessThanOrEqual(NOW + 24 * 3600_000);
        } catch (error) {
          expect(error).toBeInstanceOf(TokenResponseError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('never repeats the answer', () => {
    for (const body of [
      'planted-secret',
      '{"token":"planted-secret","expires_in":"x"}',
      '{"token":"planted-secret" x',
    ]) {
      try {
        parseTokenResponse(answer(body), NOW);
        throw new Error('accepted');
      } catch (error) {
        expect(error).toBeInstanceOf(TokenResponseError);
        expect(inspect(error, { depth: 10 }).replace(/\n {4}at .*/g, '')).not.toContain('planted');
      }
    }
  });
});
