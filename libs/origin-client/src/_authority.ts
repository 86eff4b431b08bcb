import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An authority that nobody knows, and a server that it vouches for; PEM. */
export interface TestAuthority {
  readonly ca: string;
  /** Of a server on loopback. */
  readonly own: { readonly key: string; readonly cert: string };
}

export function makeAuthority(): TestAuthority {
  const folder = mkdtempSync(join(tmpdir(), 'origin-tls-'));
  try {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const owner = ['-subj', '/CN=registry', '-addext', 'subjectAltName=IP:127.0.0.1'];
    openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=test ca', '-keyout', 'ca.key', '-out', 'ca.crt');
    openssl('req', ...key, ...owner, '-keyout', 'own.key', '-out', 'own.csr');
    const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '2', '-copy_extensions', 'copy'];
    openssl('x509', '-req', '-in', 'own.csr', ...signing, '-out', 'own.crt');
    const read = (name: string) => readFileSync(join(folder, name), 'utf8');
    return { ca: read('ca.crt'), own: { key: read('own.key'), cert: read('own.crt') } };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
