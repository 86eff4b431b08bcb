import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
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
  /** A folder with nothing but the authority in it, as skopeo and podman want it. */
  readonly caDir: string;
  readonly ca: string;
}

/** What a certificate may be used for: nodes that verify each other need both. */
export type CertificateUsage = 'serverAuth' | 'serverAuth,clientAuth';

/** Options of `openssl req` for a fresh P-256 key that no password protects. */
const NEW_KEY = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';

/**
 * Makes an authority of its own and a certificate for localhost, 127.0.0.1 and `names`.
 * @param dir an existing folder, which gets `ca/ca.crt`, `server.crt` and `server.key`
 * @param names host names or addresses
 */
export async function makeServerCertificate(
  dir: string,
  names: readonly string[] = [],
  usage: CertificateUsage = 'serverAuth',
): Promise<ServerCertificate> {
  const caDir = join(dir, 'ca');
  await mkdir(caDir, { recursive: true });
  const altNames = ['localhost', '127.0.0.1', ...names].map((name) => `${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}`);
  const extensions = [
    `subjectAltName=${altNames.join(',')}`,
    `extendedKeyUsage=${usage}`,
    'basicConstraints=CA:FALSE',
    '',
  ];
  await writeFile(join(dir, 'server.ext'), extensions.join('\n'));
  const caUse = '-addext keyUsage=critical,keyCertSign,cRLSign';
  await openssl(dir, `req -x509 ${NEW_KEY} -days 3650 -subj /CN=test-authority ${caUse} -keyout ca.key -out ca/ca.crt`);
  await openssl(dir, `req ${NEW_KEY} -subj /CN=test-server -keyout server.key -out server.csr`);
  const signer = '-CA ca/ca.crt -CAkey ca.key -CAcreateserial';
  await openssl(dir, `x509 -req -in server.csr ${signer} -days 825 -extfile server.ext -out server.crt`);
  const caFile = join(caDir, 'ca.crt');
  const pair = await readPair(join(dir, 'server.crt'), join(dir, 'server.key'));
  return { ...pair, caFile, caDir, ca: await readFile(caFile, 'utf8') };
}

/** Makes a self-signed certificate that signs tokens: `token.crt` and `token.key` in `dir`. */
export async function makeSigningCertificate(dir: string): Promise<CertificatePair> {
  await openssl(dir, `req -x509 ${NEW_KEY} -days 3650 -subj /CN=token -keyout token.key -out token.crt`);
  return readPair(join(dir, 'token.crt'), join(dir, 'token.key'));
}

/** Runs openssl in `dir`; file names in `args` are relative to it and hold no spaces. */
async function openssl(dir: string, args: string): Promise<void> {
  requirePrograms(['openssl']);
  await run('openssl', args.split(' '), { cwd: dir });
}

async function readPair(certFile: string, keyFile: string): Promise<CertificatePair> {
  return { certFile, keyFile, cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') };
}
