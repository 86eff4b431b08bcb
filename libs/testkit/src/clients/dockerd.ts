import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ChildProgram } from '../process/child-program.ts';
import { eventually } from '../process/eventually.ts';
import { requirePrograms } from '../process/programs.ts';
import { run, type RunResult } from '../process/run.ts';
import type { Credentials } from '../registry/token-server.ts';
import { tempDir } from '../scratch/temp-dir.ts';

export interface DockerdOptions {
  /** Asked first for names of Docker Hub, and for those only: `http://127.0.0.1:4001`. */
  readonly registryMirror?: string;
  /** Registries (host:port) that may speak http, or have a certificate that nobody vouches for. */
  readonly insecureRegistries?: readonly string[];
  /** Forward proxy for all others; Go programs never use one for 127.x and localhost. */
  readonly httpProxy?: string;
  /** Network namespace to run in: a name below /run/netns. */
  readonly netns?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A private Docker engine with its own storage, without bridges or packet filters. */
export interface Dockerd extends AsyncDisposable {
  readonly socket: string;
  /** Folder with the credentials of its `docker` command. */
  readonly configDir: string;
  readonly program: ChildProgram;
  /** Runs the `docker` command against it. */
  docker(args: readonly string[], options?: { env?: Readonly<Record<string, string>> }): Promise<RunResult>;
}

/**
 * Starts a Docker engine and waits until it answers.
 * @throws when this process is not root
 */
export async function startDockerd(options: DockerdOptions = {}): Promise<Dockerd> {
  const { registryMirror, insecureRegistries = [], httpProxy, netns, env = {} } = options;
  requirePrograms(['dockerd', 'docker', 'containerd', 'runc']);
  if (process.getuid?.() !== 0) throw new Error('dockerd runs as root only: run this test as root');
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir('d7y-dckr')).path; // a socket's path may have 107 characters
  const dataRoot = join(dir, 'root');
  stack.defer(async () => {
    try {
      await run('umount', ['--lazy', dataRoot]); // an engine that was killed leaves its storage mounted
    } catch {
      // it has unmounted it itself
    }
  });
  const socket = join(dir, 'docker.sock');
  const configFile = join(dir, 'daemon.json');
  await writeFile(configFile, '{}');
  const command = [
    ...['dockerd', '--config-file', configFile, '--host', `unix://${socket}`, '--pidfile', join(dir, 'pid')],
    ...['--data-root', dataRoot, '--exec-root', join(dir, 'exec')],
    ...['--bridge=none', '--iptables=false', '--ip-masq=false'],
    ...(registryMirror === undefined ? [] : ['--registry-mirror', registryMirror]),
    ...insecureRegistries.flatMap((registry) => ['--insecure-registry', registry]),
  ];
  // Not `ip netns exec`: that one mounts a fresh /sys and hides the cgroups.
  const [program, ...args] = netns === undefined ? command : ['nsenter', `--net=/run/netns/${netns}`, ...command];
  const proxy = httpProxy === undefined ? {} : { HTTP_PROXY: httpProxy, HTTPS_PROXY: httpProxy };
  const daemon = stack.use(
    await ChildProgram.start(program as string, args, { name: 'dockerd', env: { ...env, ...proxy } }),
  );
  // The configuration of whoever runs the tests, and its credentials, stay out of it.
  const docker: Dockerd['docker'] = (dockerArgs, { env: dockerEnv = {} } = {}) =>
    run('docker', ['--config', dir, '--host', `unix://${socket}`, ...dockerArgs], { env: dockerEnv });
  await eventually(async () => {
    daemon.throwIfEnded();
    await docker(['version']);
  });
  const resources = stack.move();
  return { socket, configDir: dir, program: daemon, docker, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** Under which the credentials of Docker Hub are kept; a mirror of it is offered them, too. */
const DOCKER_HUB = 'https://index.docker.io/v1/';

/**
 * Pulls with the Docker engine, which checks the digest of every layer. One pull at a time: credentials are those of the `docker` command.
 * @param image whose first part is a registry when it has a dot, a port or is localhost, and else Docker Hub is meant
 * @returns the id of the image: the digest of its configuration
 */
export async function dockerPull(
  engine: Dockerd,
  image: string,
  { credentials }: { readonly credentials?: Credentials } = {},
): Promise<string> {
  const configFile = join(engine.configDir, 'config.json');
  if (credentials === undefined) {
    await rm(configFile, { force: true });
  } else {
    const [first = ''] = image.split('/');
    const auth = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
    await writeFile(
      configFile,
      JSON.stringify({ auths: { [/[.:]|^localhost$/.test(first) ? first : DOCKER_HUB]: { auth } } }),
    );
  }
  await engine.docker(['pull', '--quiet', image]);
  const { stdout } = await engine.docker(['image', 'inspect', '--format', '{{.Id}}', image]);
  return stdout.trim();
}

/** Removes all images, so that the next pull fetches everything anew. */
export async function emptyDockerd(engine: Dockerd): Promise<void> {
  await engine.docker(['image', 'prune', '--all', '--force']);
}
