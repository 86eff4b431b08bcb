import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { postgresKeys, redisKeys } from './store-keys.ts';
import { postgresTlsOf, queueAddressOf, storesOf } from './stores.ts';

const written = z.object({ postgres: z.object(postgresKeys), redis: z.object(redisKeys) });
const read = (postgres: object = {}, redis: object = {}) => storesOf(written.parse({ postgres, redis }));

describe('where tables and queue are', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'd7y-stores-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const file = (text: string): string => {
    const path = join(dir, 'file');
    writeFileSync(path, text);
    return path;
  };

  it('is one PostgreSQL on this machine where nothing is said', () => {
    expect(read().redis).toBeUndefined();
    expect(queueAddressOf(read())).toEqual({
      ...{ kind: 'postgres', host: '127.0.0.1', port: 5432, user: 'postgres', database: 'manager' },
      ...{ password: undefined, tls: undefined },
    });
  });

  it('is Redis for the queue where one is named, without names that are empty', () => {
    const address = queueAddressOf(read({}, { addrs: ['a:1'], queueDB: 3, tls: { insecureSkipVerify: true } }));
    expect(address).toMatchObject({ kind: 'redis', addrs: ['a:1'], db: 3, tls: { rejectUnauthorized: false } });
    expect(address).toMatchObject({ masterName: undefined, username: undefined, sentinelUsername: undefined });
  });

  it('takes passwords from files', () => {
    const passwordFile = file('p w\n');
    const { postgres, redis } = read(
      { passwordFile },
      { addrs: ['a:1'], passwordFile, sentinelPasswordFile: passwordFile },
    );
    expect(postgres.password?.reveal()).toBe('p w');
    expect([redis?.password?.reveal(), redis?.sentinelPassword?.reveal()]).toEqual(['p w', 'p w']);
    expect(JSON.stringify([postgres, redis])).not.toMatch(/p w|passwordFile/i);
  });

  it.each([
    ['both a password and its file', { password: 'x', passwordFile: '/y' }, 'database.postgres.passwordFile: the same'],
    ['a file that is not there', { passwordFile: '/not/there' }, 'database.postgres.passwordFile: /not/there'],
  ])('refuses %s', (_, postgres, says) => {
    expect(() => read(postgres)).toThrow(says);
  });

  it('encrypts as the mode says', () => {
    const sslRootCert = file('certificate');
    const tls = (sslMode: string) => postgresTlsOf(read({ sslMode, sslRootCert, host: 'db' }).postgres);
    expect(tls('disable')).toBeUndefined();
    expect(tls('require')).toEqual({ rejectUnauthorized: false });
    expect(tls('verify-full')).toEqual({ ca: Buffer.from('certificate'), servername: 'db' });
    expect(tls('verify-ca')?.checkServerIdentity?.('other', {} as never)).toBeUndefined();
  });

  it.each([
    [
      'database.postgres.sslRootCert',
      () => postgresTlsOf({ sslMode: 'verify-full', sslRootCert: '/not/there', host: '' }),
    ],
    ['database.redis.tls.caCert', () => queueAddressOf(read({}, { addrs: ['a:1'], tls: { caCert: '/not/there' } }))],
  ])('names the key of a certificate that cannot be read: %s', (key, reading) => {
    expect(reading).toThrow(`${key}: /not/there`);
  });
});
