import { describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { SignJWT, UnsecuredJWT } from 'jose';
import { AccessTokens } from './access-tokens.ts';

const KEY = 'k'.repeat(32);
const rig = (key = KEY, realm = 'Dragonfly') => {
  const clock = { nowMs: 1_800_000_000_000 };
  return {
    clock,
    tokens: new AccessTokens({ key: new Secret(key), realm, lifetimeMs: 900_000, now: () => clock.nowMs }),
  };
};
const SID = '0b9dd2a4-7d64-4a5f-8f5e-0c1c2f5d9f10';
const refused = { code: 'UNAUTHENTICATED' };

describe('AccessTokens', () => {
  it('reads what it has signed, until it is over', async () => {
    const { clock, tokens } = rig();
    const { token, expiresAt } = await tokens.sign(7, SID);
    expect(expiresAt.getTime()).toBe(clock.nowMs + 900_000);
    expect(await tokens.read(token)).toEqual({ userId: 7, sessionId: SID, issuedAtMs: clock.nowMs });
    clock.nowMs += 900_000;
    await expect(tokens.read(token)).rejects.toMatchObject(refused);
    expect(await tokens.read(token, { mayBeOver: true })).toMatchObject({ sessionId: SID });
  });

  it('carries the claims of the published manager', async () => {
    const { token } = await rig().tokens.sign(7, SID);
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object;
    expect(claims).toMatchObject({ id: 7, orig_iat: 1_800_000_000, exp: 1_800_000_900 });
  });

  it('refuses tokens of another key, of another realm, unsigned, changed or nonsense', async () => {
    const { tokens } = rig();
    const { token } = await tokens.sign(7, SID);
    const [head, , signature] = token.split('.');
    const other = Buffer.from(JSON.stringify({ id: 1, sid: SID, iss: 'Dragonfly', iat: 0, exp: 4e9 })).toString(
      'base64url',
    );
    const unsigned = new UnsecuredJWT({ id: 7, sid: SID })
      .setIssuer('Dragonfly')
      .setIssuedAt()
      .setExpirationTime('1h')
      .encode();
    const key = new TextEncoder().encode(KEY);
    const withoutSession = await new SignJWT({ id: 7 })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer('Dragonfly')
      .setIssuedAt()
      .setExpirationTime('99y')
      .sign(key);
    const foreign = [
      (await rig('x'.repeat(32)).tokens.sign(7, SID)).token,
      (await rig(KEY, 'Elsewhere').tokens.sign(7, SID)).token,
      `${head}.${other}.${signature}`,
      ...[unsigned, withoutSession, '', 'a.b.c', 'nonsense'],
    ];
    for (const each of foreign) await expect(tokens.read(each)).rejects.toMatchObject(refused);
  });
});
