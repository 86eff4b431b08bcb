import { describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { AccessTokens } from './access-tokens.ts';
import { Attempts } from './attempts.ts';
import type { SessionRecords, SigningUser } from './sessions.ts';
import { Sessions } from './sessions.ts';

const MINUTE = 60_000;
const users: SigningUser[] = [
  { id: 1, name: 'ada', state: 'enable', passwordHash: 'hash of right' },
  { id: 2, name: 'off', state: 'disable', passwordHash: 'hash of right' },
  { id: 3, name: 'sso', state: 'enable', passwordHash: null },
];

/** Sessions over records in memory, with the rules of the real ones. */
function rig() {
  const clock = { nowMs: 1_800_000_000_000 };
  const now = () => clock.nowMs;
  const known = new Map<string, { userId: number; sessionId: string; expiresAt: Date; isUsed: boolean }>();
  const ended: string[] = [];
  const compared: string[] = [];
  const records: SessionRecords = {
    userByName: async (name) => users.find((user) => user.name === name),
    userById: async (id) => users.find((user) => user.id === id),
    begin: async ({ tokenHash, ...session }) => void known.set(tokenHash, { ...session, isUsed: false }),
    renew: async ({ tokenHash, nextHash, nextExpiresAt }) => {
      const token = known.get(tokenHash);
      if (token === undefined || token.expiresAt.getTime() <= now()) return { kind: 'unknown' };
      const { userId, sessionId } = token;
      if (token.isUsed) return { kind: 'reused', userId, sessionId };
      token.isUsed = true;
      known.set(nextHash, { userId, sessionId, expiresAt: nextExpiresAt, isUsed: false });
      return { kind: 'renewed', userId, sessionId };
    },
    end: async (sessionId) => {
      ended.push(sessionId);
      for (const [hash, token] of known) if (token.sessionId === sessionId) known.delete(hash);
    },
    sessionOf: async (hash) => known.get(hash)?.sessionId,
  };
  const tokens = new AccessTokens({ key: new Secret('k'.repeat(32)), realm: 'D', lifetimeMs: 15 * MINUTE, now });
  const throttle = (limit: number) => new Attempts({ limit, windowMs: MINUTE, maxKeys: 100, now });
  const sessions = new Sessions({
    ...{ records, tokens, now, maxRefreshMs: 60 * MINUTE, accessLifetimeMs: 15 * MINUTE },
    passwords: {
      hash: async (password) => `hash of ${password}`,
      matches: async (hash, password) => {
        compared.push(hash);
        return hash === `hash of ${password}`;
      },
    },
    attempts: throttle(5),
    attemptsPerAddress: throttle(12),
    onChange: async () => undefined,
  });
  return { clock, sessions, ended, compared, tokens };
}
const unauthenticated = { code: 'UNAUTHENTICATED' };

describe('Sessions', () => {
  it('begin with the right password', async () => {
    const { sessions, tokens } = rig();
    const session = await sessions.signIn('ada', 'right', '10.0.0.1');
    expect(await tokens.read(session.token)).toMatchObject({ userId: 1 });
    expect(session.refreshToken).toMatch(/^dfr_[\w-]{43}$/);
  });

  it('do not begin otherwise, and compare a password in any case', async () => {
    const { sessions, compared } = rig();
    for (const [name, password] of [
      ['ada', 'wrong'],
      ['nobody', 'right'],
      ['sso', 'right'],
    ] as const)
      await expect(sessions.signIn(name, password, '10.0.0.1')).rejects.toMatchObject(unauthenticated);
    expect(compared).toHaveLength(3);
    await expect(sessions.signIn('off', 'right', '10.0.0.1')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('refuse more than five wrong passwords a minute of a name from an address, then also the right one', async () => {
    const { sessions, clock } = rig();
    for (let n = 0; n < 5; n++)
      await expect(sessions.signIn('ada', 'wrong', '10.0.0.1')).rejects.toMatchObject(unauthenticated);
    await expect(sessions.signIn('ada', 'right', '10.0.0.1')).rejects.toMatchObject({ code: 'TOO_MANY_REQUESTS' });
    await sessions.signIn('ada', 'right', '10.0.0.2');
    clock.nowMs += MINUTE;
    await sessions.signIn('ada', 'right', '10.0.0.1');
  });

  it('refuse many names from one address', async () => {
    const { sessions } = rig();
    for (let n = 0; n < 12; n++)
      await expect(sessions.signIn(`name-${n}`, 'wrong', '10.0.0.1')).rejects.toMatchObject(unauthenticated);
    await expect(sessions.signIn('ada', 'right', '10.0.0.1')).rejects.toMatchObject({ code: 'TOO_MANY_REQUESTS' });
  });

  it('go on with a refresh token, each of which is good once', async () => {
    const { sessions, ended, tokens } = rig();
    const first = await sessions.signIn('ada', 'right', '10.0.0.1');
    const second = await sessions.refresh(first.refreshToken, '10.0.0.1');
    expect(await tokens.read(second.token)).toMatchObject({ userId: 1 });
    const third = await sessions.refresh(second.refreshToken, '10.0.0.1');
    await expect(sessions.refresh(first.refreshToken, '10.0.0.9')).rejects.toMatchObject(unauthenticated);
    expect(ended).toEqual([(await tokens.read(third.token)).sessionId]);
    await expect(sessions.refresh(third.refreshToken, '10.0.0.1')).rejects.toMatchObject(unauthenticated);
  });

  it('are over when nobody continued them in time', async () => {
    const { sessions, clock } = rig();
    const { refreshToken } = await sessions.signIn('ada', 'right', '10.0.0.1');
    clock.nowMs += 60 * MINUTE;
    await expect(sessions.refresh(refreshToken, '10.0.0.1')).rejects.toMatchObject(unauthenticated);
    await expect(sessions.refresh(undefined, '10.0.0.1')).rejects.toMatchObject(unauthenticated);
  });

  it('end by either token, also by one that is over, and by nonsense not at all', async () => {
    const { sessions, clock, ended } = rig();
    const one = await sessions.signIn('ada', 'right', '10.0.0.1');
    clock.nowMs += 20 * MINUTE;
    await sessions.signOut({ token: one.token, refreshToken: undefined });
    const two = await sessions.signIn('ada', 'right', '10.0.0.1');
    await sessions.signOut({ token: undefined, refreshToken: two.refreshToken });
    await sessions.signOut({ token: 'nonsense', refreshToken: 'nonsense' });
    expect(ended).toHaveLength(2);
    await expect(sessions.refresh(two.refreshToken, '10.0.0.1')).rejects.toMatchObject(unauthenticated);
  });
});
