import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseChallenges } from './challenge.ts';

const bearer = (realm: string, rest: { service?: string; scope?: string; error?: string } = {}) => ({
  ...{ scheme: 'bearer', realm, service: undefined, scope: undefined, error: undefined },
  ...rest,
});
const basic = (realm?: string) => ({ scheme: 'basic', realm });

it.each([
  [
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"',
    [bearer('https://auth.docker.io/token', { service: 'registry.docker.io', scope: 'repository:library/nginx:pull' })],
  ],
  ['bearer  REALM = "https://a/t" , Service = s', [bearer('https://a/t', { service: 's' })]],
  ['Bearer realm="https://a/t",error="insufficient_scope"', [bearer('https://a/t', { error: 'insufficient_scope' })]],
  [
    'Bearer realm="https://a/t",scope="repository:a:pull,push repository:b:pull"',
    [bearer('https://a/t', { scope: 'repository:a:pull,push repository:b:pull' })],
  ],
  ['Basic realm="Registry Realm"', [basic('Registry Realm')]],
  ['Basic realm="a \\"b\\" \\\\c, Bearer realm=x"', [basic('a "b" \\c, Bearer realm=x')]],
  ['Basic', [basic()]],
  ['Basic, Bearer realm="https://a/t"', [basic(), bearer('https://a/t')]],
  ['Bearer realm="https://a/t",service="s", Basic realm="b"', [bearer('https://a/t', { service: 's' }), basic('b')]],
  ['Negotiate, Basic realm=b', [{ scheme: 'other', name: 'negotiate' }, basic('b')]],
  ['Negotiate YWJj==, Basic realm=b', [{ scheme: 'other', name: 'negotiate' }, basic('b')]],
  [
    'Digest realm="d", nonce="n", qop="auth,auth-int", Basic realm=b',
    [{ scheme: 'other', name: 'digest' }, basic('b')],
  ],
  [' ,, Basic realm=b ,, ', [basic('b')]],
  ['Bearer realm="https://a/t",realm="https://evil/t"', [bearer('https://a/t')]],
  ['Bearer service="s"', []],
  ['Bearer realm=', []],
  ['Bearer realm="https://a/t', []],
  ['Bearer realm=https://a/t,service=s', []],
  ['Basic realm=b, Bearer realm="x" y', [basic('b')]],
  ['="', []],
  ['', []],
  [`Basic realm="${'x'.repeat(9000)}"`, []],
])('reads %j', (header, expected) => {
  expect(parseChallenges(header)).toEqual(expected);
});

it('reads any quoted text back', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '"', '\\', ',', '=', ' ', ':', '/') });
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), (realms) => {
      const header = realms.map((realm) => `Bearer realm="${realm.replace(/["\\]/g, '\\$&')}"`).join(', ');
      expect(parseChallenges(header)).toEqual(realms.map((realm) => bearer(realm)));
    }),
  );
});

it('comes to an end with any header, without throwing', () => {
  const piece = fc.constantFrom(
    'Bearer',
    'Basic',
    ' ',
    ',',
    '=',
    '"',
    '\\',
    'realm',
    'x',
    '==',
    '\t',
    ';',
    '\u0000',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      expect(Array.isArray(parseChallenges(pieces.join('')))).toBe(true);
    }),
    { numRuns: 3000 },
  );
});
