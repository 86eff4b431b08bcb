import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requirePrograms } from '../process/programs.ts';
import { run, type RunResult } from '../process/run.ts';
import { tempDir } from '../scratch/temp-dir.ts';
import type { ImageLayout } from '../images/image.ts';
import type { Registry } from '../registry/registry.ts';
import type { Credentials } from '../registry/token-server.ts';

// skopeo and podman: two programs on one library, so with the same configuration and the same ways.

/** Writes a registries.conf that sends pulls from `registry` through a mirror, and returns its path. */
export async function writeRegistriesConf(
  dir: string,
  { registry, mirror, secure = false }: { registry: string; mirror?: string; secure?: boolean },
): Promise<string> {
  const lines = ['[[registry]]', `prefix = "${registry}"`, `location = "${registry}"`, `insecure = ${!secure}`];
  if (mirror !== undefined) lines.push('[[registry.mirror]]', `location = "${mirror}"`, 'insecure = true');
  await mkdir(dir, { recursive: true });
  const path = join(dir, 'registries.conf');
  await writeFile(path, `${lines.join('\n')}\n`);
  return path;
}

export interface PullOptions {
  /** File of writeRegistriesConf. */
  readonly registriesConf?: string;
  readonly credentials?: Credentials;
  /** Folder with the `ca.crt` to trust. Without one, certificates are not verified. */
  readonly certDir?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Copies `image` (host/repository:tag) into a new folder of files named by digest. */
export async function skopeoCopy(image: string, toDir: string, options: PullOptions = {}): Promise<RunResult> {
  requirePrograms(['skopeo']);
  const { registriesConf, credentials, certDir, env } = options;
  return run(
    'skopeo',
    [
      ...(registriesConf === undefined ? [] : ['--registries-conf', registriesConf]),
      ...['copy', '--quiet', ...(certDir === undefined ? ['--src-tls-verify=false'] : ['--src-cert-dir', certDir])],
      ...(credentials === undefined ? [] : ['--src-creds', `${credentials.username}:${credentials.password}`]),
      ...[`docker://${image}`, `dir:${toDir}`],
    ],
    env === undefined ? {} : { env },
  );
}

/** A podman storage of its own. */
export interface PodmanStorage extends AsyncDisposable {
  /** Runs podman on it; `signal` kills it. */
  podman(
    args: readonly string[],
    options?: { env?: Readonly<Record<string, string>>; signal?: AbortSignal },
  ): Promise<RunResult>;
}

/** Makes an empty podman storage. */
export async function podmanStorage(): Promise<PodmanStorage> {
  requirePrograms(['podman', 'crun']);
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir('d7y-podman')).path;
  const root = join(dir, 'root');
  stack.defer(async () => {
    try {
      await run('umount', ['--lazy', join(root, 'overlay')]); // podman leaves its storage mounted
    } catch {
      // nothing was pulled, so nothing is mounted
    }
  });
  const resources = stack.move();
  return {
    podman: (args, options) => run('podman', ['--root', root, '--runroot', join(dir, 'run'), ...args], options),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/**
 * Pulls with podman.
 * @returns the id of the image: the hex digest of its configuration
 */
export async function podmanPull(storage: PodmanStorage, image: string, options: PullOptions = {}): Promise<string> {
  const { registriesConf, credentials, certDir, env = {} } = options;
  const { stdout } = await storage.podman(
    [
      ...['pull', '--quiet', ...(certDir === undefined ? ['--tls-verify=false'] : ['--cert-dir', certDir])],
      ...(credentials === undefined ? [] : ['--creds', `${credentials.username}:${credentials.password}`]),
      image,
    ],
    { env: { ...env, ...(registriesConf === undefined ? {} : { CONTAINERS_REGISTRIES_CONF: registriesConf }) } },
  );
  return stdout.trim();
}

/**
 * Pushes every platform of an image straight to a registry.
 * @returns its name there: `host/repository:tag`
 */
export async function pushImage(
  image: ImageLayout,
  registry: Pick<Registry, 'host' | 'certificate'>,
  {
    repository = 'test/app',
    tag = image.tag,
    credentials,
  }: { repository?: string; tag?: string; credentials?: Credentials } = {},
): Promise<string> {
  requirePrograms(['skopeo']);
  const { certificate } = registry;
  const name = `${registry.host}/${repository}:${tag}`;
  await run('skopeo', [
    ...['copy', '--quiet', '--all'],
    ...(certificate === undefined ? ['--dest-tls-verify=false'] : ['--dest-cert-dir', certificate.caDir]),
    ...(credentials === undefined ? [] : ['--dest-creds', `${credentials.username}:${credentials.password}`]),
    ...[`oci:${image.dir}:${image.tag}`, `docker://${name}`],
  ]);
  return name;
}
