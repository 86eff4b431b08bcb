import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ChildProgram } from '../process/child-program.ts';
import { eventually } from '../process/eventually.ts';
import { requirePrograms } from '../process/programs.ts';
import { run, type RunResult } from '../process/run.ts';
import { tempDir } from '../scratch/temp-dir.ts';
import type { Credentials } from '../registry/token-server.ts';

export interface ContainerdOptions {
  /** Keeps the Kubernetes image service on. Default: false. */
  readonly cri?: boolean;
  /** Network namespace to run in: a name below /run/netns. */
  readonly netns?: string;
  /** Added to its environment, for instance HTTPS_PROXY. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A private containerd with its own storage; as many as wanted run side by side. */
export interface Containerd extends AsyncDisposable {
  readonly socket: string;
  /** Folder for writeHostsToml. */
  readonly certsDir: string;
  /** Where its storage lies. */
  readonly rootDir: string;
  readonly program: ChildProgram;
  /** Runs `ctr` against it. */
  ctr(
    args: readonly string[],
    options?: { namespace?: string; env?: Readonly<Record<string, string>> },
  ): Promise<RunResult>;
}

/** Plugins that would only warn that their kernel modules or tools are missing. */
const UNUSED_PLUGINS = ['aufs', 'btrfs', 'zfs'].map((name) => `io.containerd.snapshotter.v1.${name}`);
const CRI_PLUGIN = 'io.containerd.grpc.v1.cri';

/**
 * Starts a containerd and waits until it answers.
 * @throws when this process is not root
 */
export async function startContainerd(options: ContainerdOptions = {}): Promise<Containerd> {
  const { cri = false, netns, env = {} } = options;
  requirePrograms(['containerd', 'ctr', 'runc']);
  if (process.getuid?.() !== 0) throw new Error('containerd runs as root only: run this test as root');
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir('d7y-ctrd')).path; // a socket's path may have 107 characters
  const certsDir = join(dir, 'certs.d');
  const rootDir = join(dir, 'root');
  const socket = join(dir, 'containerd.sock');
  await mkdir(certsDir);
  const configFile = join(dir, 'config.toml');
  await writeFile(configFile, configOf({ dir, rootDir, socket, certsDir, cri }));
  const command = ['containerd', '--config', configFile];
  // Not `ip netns exec`: that one mounts a fresh /sys and hides the cgroups.
  const [program, ...args] = netns === undefined ? command : ['nsenter', `--net=/run/netns/${netns}`, ...command];
  const daemon = stack.use(await ChildProgram.start(program as string, args, { name: 'containerd', env }));
  const ctr: Containerd['ctr'] = (ctrArgs, { namespace = 'default', env: ctrEnv } = {}) =>
    run(
      'ctr',
      ['--address', socket, '--namespace', namespace, ...ctrArgs],
      ctrEnv === undefined ? {} : { env: ctrEnv },
    );
  await eventually(async () => {
    daemon.throwIfEnded();
    await ctr(['version']);
  });
  const resources = stack.move();
  return { socket, certsDir, rootDir, program: daemon, ctr, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

export interface CtrPullOptions {
  readonly credentials?: Credentials;
  /** Pulls every platform of an index, not only this machine's. */
  readonly allPlatforms?: boolean;
  /** Environment of ctr, which does the requests itself. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Pulls with `ctr`: all layers at once, through the hosts files of the node. */
export function ctrPull(node: Containerd, image: string, options: CtrPullOptions = {}): Promise<RunResult> {
  const { credentials, allPlatforms = false, env } = options;
  const user = credentials === undefined ? [] : ['--user', `${credentials.username}:${credentials.password}`];
  const platforms = allPlatforms ? ['--all-platforms'] : [];
  return node.ctr(
    ['images', 'pull', '--hosts-dir', node.certsDir, ...user, ...platforms, image],
    env === undefined ? {} : { env },
  );
}

/** Removes all images, content and leases of both namespaces, so that the next pull fetches everything anew. */
export async function emptyContainerd(node: Containerd): Promise<void> {
  for (const namespace of ['default', 'k8s.io']) {
    const names = async (...args: string[]) =>
      (await node.ctr([...args, '-q'], { namespace })).stdout.split('\n').filter((name) => name !== '');
    // A pull that was killed leaves a lease of 24 hours on its part.
    for (const lease of await names('leases', 'ls')) await node.ctr(['leases', 'rm', '--sync', lease], { namespace });
    for (const image of await names('images', 'ls')) await node.ctr(['images', 'rm', '--sync', image], { namespace });
    for (const digest of await names('content', 'ls')) {
      // The collector may have been faster.
      await node.ctr(['content', 'rm', digest], { namespace }).catch(() => undefined);
    }
  }
}

function configOf(at: { dir: string; rootDir: string; socket: string; certsDir: string; cri: boolean }): string {
  const disabled = at.cri ? UNUSED_PLUGINS : [CRI_PLUGIN, ...UNUSED_PLUGINS];
  const plugin = `plugins."${CRI_PLUGIN}"`;
  return [
    'version = 2',
    `root = "${at.rootDir}"`,
    `state = "${join(at.dir, 'state')}"`,
    `disabled_plugins = ${JSON.stringify(disabled)}`,
    '[grpc]',
    `address = "${at.socket}"`,
    `[${plugin}]`,
    'stream_server_port = "0"',
    `[${plugin}.containerd]`,
    'snapshotter = "overlayfs"',
    `[${plugin}.registry]`,
    `config_path = "${at.certsDir}"`,
    `[${plugin}.cni]`,
    `conf_dir = "${join(at.dir, 'cni')}"`,
    'bin_dir = "/usr/lib/cni"',
    '',
  ].join('\n');
}
