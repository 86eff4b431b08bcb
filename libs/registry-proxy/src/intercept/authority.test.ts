import { execFile } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AuthorityError, CertificateAuthority, LEAF_LIFE_MS } from './authority.ts';
import { keepAuthority, readAuthority } from './authority-files.ts';
import { interceptionOf } from './interception.ts';
import { LeafCertificates } from './leaf-certificates.ts';

const run = promisify(execFile);
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'authority-'));
});
afterAll(() => rm(directory, { recursive: true }));

describe('CertificateAuthority', () => {
  it('issues what a verifier accepts, for names and addresses, not for longer than needed', async () => {
    const { certificate, key } = await CertificateAuthority.create('test', Date.now());
    const authority = await CertificateAuthority.load(certificate, key, Date.now());
    for (const host of ['registry.test', '127.0.0.1', '::1', `${'a'.repeat(63)}.${'b'.repeat(63)}.test`]) {
      const leaf = await authority.issue(host, Date.now());
      const parsed = new X509Certificate(leaf.cert);
      expect(parsed.verify(new X509Certificate(certificate).publicKey)).toBe(true);
      expect(host.includes(':') || host.startsWith('127') ? parsed.checkIP(host) : parsed.checkHost(host)).toBe(host);
      expect(parsed.ca).toBe(false);
      expect(parsed.validToDate.getTime()).toBeLessThanOrEqual(Date.now() + LEAF_LIFE_MS);
    }
  });

  it.each([
    ['RSA', ['-newkey', 'rsa:2048']],
    ['EC on P-384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
  ])('signs with an authority of OpenSSL, %s', async (name, args) => {
    const at = (file: string) => join(directory, `${name}-${file}`);
    await run('openssl', [
      ...[
        'req',
        '-x509',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=corporate',
        ...args,
        '-addext',
        'keyUsage=critical,keyCertSign',
      ],
      ...['-keyout', at('ca.key'), '-out', at('ca.crt')],
    ]);
    const authority = await readAuthority({ certificatePath: at('ca.crt'), keyPath: at('ca.key') }, Date.now());
    await writeFile(at('leaf.crt'), (await authority.issue('registry.test', Date.now())).cert);
    const { stdout } = await run('openssl', [
      ...['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'registry.test'],
      ...['-CAfile', at('ca.crt'), at('leaf.crt')],
    ]);
    expect(stdout).toContain('OK');
  });

  it('weakness 5: an authority that cannot be used is an error, not another one', async () => {
    const now = Date.now();
    const { certificate, key } = await CertificateAuthority.create('test', now);
    const other = await CertificateAuthority.create('other', now);
    const ed25519 = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    const leaf = await (await CertificateAuthority.load(certificate, key, now)).issue('x.test', now);
    const unusable: [string, string, number][] = [
      ['nonsense', key, now],
      [certificate, 'nonsense', now],
      [certificate, other.key, now],
      [certificate, ed25519, now],
      [leaf.cert, leaf.key, now],
      [certificate, key, now + 11 * 365 * 24 * 3_600_000],
    ];
    for (const [cert, privateKey, at] of unusable) {
      await expect(CertificateAuthority.load(cert, privateKey, at)).rejects.toThrow(AuthorityError);
    }
    await expect(readAuthority({ certificatePath: join(directory, 'none'), keyPath: 'x' }, now)).rejects.toThrow(
      'ENOENT',
    );
  });

  it('is made once, with a key for its owner only, and found again', async () => {
    const at = join(directory, 'kept', 'proxy-ca');
    const [first, second] = await Promise.all([
      keepAuthority(at, 'test', Date.now()),
      keepAuthority(at, 'test', Date.now()),
    ]);
    const certificate = await readFile(first.certificatePath, 'utf8');
    expect((await stat(first.keyPath)).mode & 0o777).toBe(0o600);
    await keepAuthority(at, 'test', Date.now());
    expect(await readFile(second.certificatePath, 'utf8')).toBe(certificate);
    expect(await readdir(join(directory, 'kept'))).toEqual(['proxy-ca']);
    await expect(readAuthority(first, Date.now())).resolves.toBeDefined();
    await writeFile(first.keyPath, 'damaged');
    await chmod(first.keyPath, 0o600);
    await expect(readAuthority(await keepAuthority(at, 'test', Date.now()), Date.now())).rejects.toThrow(
      AuthorityError,
    );
  });
});

describe('LeafCertificates', () => {
  it('makes one for all who ask at once, and a new one at half of its life', async () => {
    const { certificate, key } = await CertificateAuthority.create('test', Date.now());
    const authority = await CertificateAuthority.load(certificate, key, Date.now());
    let now = Date.now();
    const leaves = new LeafCertificates(authority, () => now);
    const [first, same] = await Promise.all([leaves.for('Registry.test'), leaves.for('registry.test')]);
    expect(same).toBe(first);
    now += LEAF_LIFE_MS / 2 - 1;
    expect(await leaves.for('registry.test')).toBe(first);
    now += 2;
    expect(await leaves.for('registry.test')).not.toBe(first);
  });
});

describe('interceptionOf', () => {
  const rule = { useTls: false, direct: false, redirect: undefined, filteredQueryParams: [] };

  it('intercepts the hosts of its list, and nobody else', () => {
    const intercepts = interceptionOf(['*.docker.io', 'registry.test:5443'], [{ ...rule, regex: /.*/ }]);
    expect(intercepts('registry-1.docker.io', 443)).toBe(true);
    expect(intercepts('registry.test', 5443)).toBe(true);
    expect(intercepts('registry.test', 443)).toBe(false);
  });

  it('weakness 34: without a list only what a rule could match is intercepted', () => {
    const rules = [
      { ...rule, regex: /.*/, direct: true },
      { ...rule, regex: /^https:\/\/ghcr\.io\/v2\/.*blobs/ },
      { ...rule, regex: /https?:\/\/registry\.test:5443\// },
    ];
    const intercepts = interceptionOf(undefined, rules);
    expect(intercepts('ghcr.io', 443)).toBe(true);
    expect(intercepts('GHCR.io', 443)).toBe(true);
    expect(intercepts('ghcr.io', 8443)).toBe(false);
    expect(intercepts('registry.test', 5443)).toBe(true);
    expect(intercepts('bank.test', 443)).toBe(false);
    expect(interceptionOf(undefined, [])('ghcr.io', 443)).toBe(false);
  });

  it('takes every host for wanted by a rule that names none', () => {
    for (const regex of [
      /blobs\/sha256.*/,
      /https:\/\/.*\.test\//,
      /^https:\/\/(a|b)\.test\//,
      /https:\/\/a\.test\/|blobs/,
    ]) {
      expect(interceptionOf(undefined, [{ ...rule, regex }])('any.test', 443)).toBe(true);
    }
  });
});
