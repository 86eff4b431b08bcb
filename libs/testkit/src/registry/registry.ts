import { mkdir, writeFile } from 'node:fs/promises';
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { join } from 'node:path';
import { ChildProgram } from '../process/child-program.ts';
import { eventually } from '../process/eventually.ts';
import { requirePrograms } from '../process/programs.ts';
import { run } from '../process/run.ts';
import { freePort } from '../scratch/free-ports.ts';
import { tempDir } from '../scratch/temp-dir.ts';
import { makeServerCertificate, type ServerCertificate } from './certificates.ts';
import type { Credentials, TokenServer } from './token-server.ts';

export interface RegistryOptions {
  /** Basic authentication with this one account. */
  readonly auth?: Credentials;
  /** Bearer tokens of this server; excludes `auth`. */
  readonly token?: TokenServer;
  /** HTTPS under an authority of its own. */
  readonly tls?: boolean;
  /** Names its certificate is good for, beside localhost and 127.0.0.1. */
  readonly certificateNames?: readonly string[];
}

/** A real OCI registry (docker-registry of Debian) with its own empty storage. */
export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:<port>`, the first part of image names. */
  readonly host: string;
  /** `http://` or `https://` and the host. */
  readonly url: string;
  /** Its certificate when it speaks TLS. */
  readonly certificate: ServerCertificate | undefined;
  readonly program: ChildProgram;
}

/** Starts a registry on a free port of loopback and waits until it answers. */
export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  const { auth, token, tls = false, certificateNames } = options;
  requirePrograms(auth === undefined ? ['docker-registry'] : ['docker-registry', 'htpasswd']);
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir('d7y-registry')).path;
  await mkdir(join(dir, 'data'));
  const host = `127.0.0.1:${await freePort()}`;
  const certificate = tls ? await makeServerCertificate(dir, certificateNames) : undefined;
  const config = {
    version: '0.1',
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(dir, 'data'), maxthreads: 100 }, delete: { enabled: true } },
    http: {
      addr: host,
      secret: 'not-a-secret',
      ...(certificate && { tls: { certificate: certificate.certFile, key: certificate.keyFile } }),
    },
    ...(auth && { auth: { htpasswd: { realm: 'test', path: await writePasswords(dir, auth) } } }),
    ...(token && {
      auth: {
        token: { realm: token.realm, service: token.service, issuer: token.issuer, rootcertbundle: token.certFile },
      },
    }),
  };
  const configFile = join(dir, 'config.yml');
  await writeFile(configFile, JSON.stringify(config)); // JSON is YAML
  const program = stack.use(
    await ChildProgram.start('docker-registry', ['serve', configFile], {
      env: { OTEL_TRACES_EXPORTER: 'none' },
      stopTimeoutMs: 2000,
    }),
  );
  const url = `${tls ? 'https' : 'http'}://${host}`;
  await eventually(async () => {
    program.throwIfEnded();
    const status = await statusOf(`${url}/v2/`, certificate?.ca);
    if (status !== 200 && status !== 401) throw new Error(`the registry answers ${status}`);
  });
  const resources = stack.move();
  return { host, url, certificate, program, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** The registry only reads bcrypt hashes. */
async function writePasswords(dir: string, { username, password }: Credentials): Promise<string> {
  const path = join(dir, 'htpasswd');
  await writeFile(path, (await run('htpasswd', ['-Bbn', username, password])).stdout);
  return path;
}

function statusOf(url: string, ca: string | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? getHttps(url, { ca, agent: false }) : getHttp(url, { agent: false });
    request.once('error', reject).setTimeout(2000, () => request.destroy(new Error('no answer within 2 s')));
    request.once('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
  });
}
