import { describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { PasswordHasher } from './password-hash.ts';

describe('PasswordHasher', () => {
  const hasher = new PasswordHasher();

  it('knows the password again, and no other', async () => {
    const stored = await hasher.hash(new Secret('correct horse'));
    expect(stored).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(await hasher.matches(stored, new Secret('correct horse'))).toBe(true);
    expect(await hasher.matches(stored, new Secret('correct horsf'))).toBe(false);
    expect(await hasher.hash(new Secret('correct horse'))).not.toBe(stored);
  });

  it('checks hashes of other costs by theirs', async () => {
    // From the tests of the reference implementation: 256 KiB, two passes, "password", "somesalt".
    const stored = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
    expect(await hasher.matches(stored, new Secret('password'))).toBe(true);
    expect(await hasher.matches(stored, new Secret('passwort'))).toBe(false);
  });

  it('matches nothing in a format that it does not know', async () => {
    for (const stored of ['', 'dragonfly', '$2a$04$abc', '$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$AAAA'])
      expect(await hasher.matches(stored, new Secret('dragonfly'))).toBe(false);
  });

  it('lets a crowd wait, and sends the rest of it away', async () => {
    const crowd = new PasswordHasher();
    const asked = await Promise.allSettled(Array.from({ length: 70 }, () => crowd.hash(new Secret('x'))));
    expect(asked.filter(({ status }) => status === 'rejected')).toHaveLength(4);
    expect(asked.slice(66)).toEqual(
      Array.from({ length: 4 }, () =>
        expect.objectContaining({ reason: expect.objectContaining({ code: 'QUEUE_FULL' }) }),
      ),
    );
  });
});
