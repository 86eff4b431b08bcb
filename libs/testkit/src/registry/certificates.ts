import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requirePrograms } from '../process/programs.ts';
import { run } from '../process/run.ts';

/** A key and its certificate, as files for programs and as text for this process. */
export interface CertificatePair {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** A server's certificate and the authority that signed it, which clients must be told to trust. */
export interface ServerCertificate extends CertificatePair {
  readonly caFile: string;
  readonly ca: string;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/**
 * Makes an authority of its own and a certificate for localhost, 127.0.0.1 and `names`.
 * @param dir an existing folder, which gets `ca.crt`, `server.crt` and `server.key`
 * @param names host names or IPv4 addresses
 */
export async function makeServerCertificate(dir: string, names: readonly string[] = []): Promise<ServerCertificate> {
  requirePrograms(['openssl']);
  const file = (name: string) => join(dir, name);
  const altNames = ['localhost', '127.0.0.1', ...names].map((name) =>
    /^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`,
  );
  await run('openssl', [
    'req', '-x509', ...NEW_KEY, '-days', '3650', '-subj', '/CN=test authority', '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
    '-keyout', file('ca.key'), '-out', file('ca.crt'),
  ]); // prettier-ignore
  await run('openssl', [
    'req',
    ...NEW_KEY,
    '-subj',
    '/CN=test server',
    '-keyout',
    file('server.key'),
    '-out',
    file('server.csr'),
  ]);
  const extensions = `subjectAltName=${altNames.join(',')}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n`;
  await run(
    'openssl',
    [
      'x509', '-req', '-in', file('server.csr'), '-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '825',
      '-extfile', '/dev/stdin', '-out', file('server.crt'),
    ],
    { input: extensions },
  ); // prettier-ignore
  return {
    ...(await readPair(file('server.crt'), file('server.key'))),
    caFile: file('ca.crt'),
    ca: await readFile(file('ca.crt'), 'utf8'),
  };
}

/** Makes a self-signed certificate that signs tokens: `token.crt` and `token.key` in `dir`. */
export async function makeSigningCertificate(dir: string): Promise<CertificatePair> {
  requirePrograms(['openssl']);
  const certFile = join(dir, 'token.crt');
  const keyFile = join(dir, 'token.key');
  await run('openssl', [
    'req',
    '-x509',
    ...NEW_KEY,
    '-days',
    '3650',
    '-subj',
    '/CN=token',
    '-keyout',
    keyFile,
    '-out',
    certFile,
  ]);
  return readPair(certFile, keyFile);
}

async function readPair(certFile: string, keyFile: string): Promise<CertificatePair> {
  return { certFile, keyFile, cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') };
}
