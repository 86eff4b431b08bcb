import type { Secret } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { configOfTests, databasesOfTests, eventually, startTestManager } from '../_rig.ts';
import { resetPassword } from './reset-password.ts';

const newDatabase = databasesOfTests();
const { signal } = new AbortController();

describe('a password that nobody knows any more', () => {
  it('is replaced while a manager is at work: the old one and its sessions count no more', async () => {
    const address = await newDatabase();
    let first: Secret | undefined;
    await using manager = await startTestManager(address, {
      overrides: { tellRootPassword: (told) => (first = told) },
    });
    const url = `http://127.0.0.1:${manager.restPort}/api/v1`;
    const signIn = async (password: Secret | undefined) =>
      await fetch(`${url}/users/signin`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'root', password: password?.reveal() }),
      });
    const usersSeenWith = async (token: string) =>
      (await fetch(`${url}/users`, { headers: { authorization: `Bearer ${token}` } })).status;
    const before = (await (await signIn(first)).json()) as { token: string };
    expect(await usersSeenWith(before.token)).toBe(200);

    const second = await resetPassword(configOfTests(address), { user: 'root', signal });
    expect(second.reveal()).toMatch(/^[\w-]{20}$/);
    expect((await signIn(first)).status).toBe(401);
    await eventually(async () => (await usersSeenWith(before.token)) === 401);
    expect((await signIn(second)).status).toBe(200);
    const third = await resetPassword(configOfTests(address), { user: 'root', signal });
    expect(third.reveal()).not.toBe(second.reveal());
    expect((await signIn(third)).status).toBe(200);
  });

  it('is told apart from a user who does not exist', async () => {
    const address = await newDatabase();
    await using _manager = await startTestManager(address);
    await expect(resetPassword(configOfTests(address), { user: 'nobody', signal })).rejects.toThrow(
      'no user is named nobody',
    );
  });
});
