import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type AppConfig,
  DaemonNode,
  eventually,
  type FileOrigin,
  freePort,
  freePorts,
  mergeConfig,
  pseudoRandomBytes,
  type SmallDisk,
  smallDisk,
  startFileOrigin,
  tempDir,
  type TempDir,
} from '@d7y/testkit';
import { type Ended, runApp, writeConfig } from './_program.ts';

const MIB = 2 ** 20;
const LOOPBACK = '127.0.0.1';

let scratch: TempDir;

beforeAll(async () => {
  scratch = await tempDir('d7y-start');
  await chmod(scratch.path, 0o755); // programs of other users read their configuration in it
});

afterAll(async () => {
  await scratch[Symbol.asyncDispose]();
});

/** What a scheduler does without, and says so: its memory of who holds what. */
const NO_MEMORY = 'what a restart should find cannot be written; it is tried again';

/** Expects a program that gave up by itself, with one line that says all of this, beside log lines that complain of nothing else. */
function expectOneLine(ended: Ended, ...parts: readonly (string | RegExp)[]): void {
  expect(ended).toMatchObject({ code: 1, signal: null });
  const complaints = ended.stdout.filter((logged) => {
    const { level, msg } = JSON.parse(logged) as { level: string; msg: string };
    return level !== 'info' && msg !== NO_MEMORY;
  });
  expect(complaints).toEqual([]);
  expect(ended.stderr).toHaveLength(1);
  for (const part of parts) expect(ended.stderr[0]).toMatch(part);
}

/** A port on which somebody listens. */
async function takenPort(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer();
  const port = await freePort();
  server.listen(port, LOOPBACK);
  await once(server, 'listening');
  return { port, [Symbol.asyncDispose]: async () => void (await new Promise((resolve) => server.close(resolve))) };
}

let made = 0;

/** A daemon's complete configuration, on free ports, with files in a folder of its own. */
async function daemonConfig(over: AppConfig = {}): Promise<{ dir: string; config: AppConfig }> {
  const dir = join(scratch.path, `d${made++}`);
  await mkdir(dir, { mode: 0o755 });
  const [upload, proxy, metrics, health, piece] = await freePorts(5);
  const at = (port: number | undefined) => ({ server: { ip: LOOPBACK, port } });
  const config = {
    host: { ip: LOOPBACK, hostname: 'node' },
    download: { server: { socketPath: join(dir, 'd.sock') } },
    upload: at(upload),
    proxy: at(proxy),
    metrics: at(metrics),
    health: at(health),
    storage: { dir: join(dir, 'storage'), server: { ip: LOOPBACK, tcpPort: piece } },
    scheduler: { addrs: [] },
    dynconfig: { path: join(dir, 'dynconfig.yaml') },
  };
  await writeConfig(dir, 'dynconfig.yaml', { scheduler: { addrs: [] } });
  return { dir, config: mergeConfig(config, over) };
}

async function runDaemon(over: AppConfig, options: { unprivileged?: boolean } = {}): Promise<Ended> {
  const { dir, config } = await daemonConfig(over);
  return runApp('dfdaemon', { ...options, args: ['--config', await writeConfig(dir, 'dfdaemon.yaml', config)] });
}

async function runScheduler(config: AppConfig): Promise<Ended> {
  const base = { server: { listenIP: LOOPBACK, advertiseIP: LOOPBACK, port: await freePort() } };
  const file = await writeConfig(scratch.path, `scheduler-${made++}.yaml`, mergeConfig(base, config));
  return runApp('scheduler', { args: ['--config', file] });
}

/** A port base whose whole plan is free, all but for what a test takes away. */
const PORT_BASE = 23_000;

function runUp(options: { dataDir: string; portBase?: number; unprivileged?: boolean }): Promise<Ended> {
  const { dataDir, portBase = PORT_BASE, unprivileged = false } = options;
  return runApp('dragonfly', {
    unprivileged,
    args: ['up', '--data-dir', dataDir, '--port-base', String(portBase), '--no-proof'],
    timeoutMs: 40_000,
  });
}

describe('a wrong configuration key', () => {
  it('weakness 43: stops a daemon with its file, its path and the key that was probably meant', async () => {
    expectOneLine(
      await runDaemon({ proxy: { registryMirror: { adr: 'https://ghcr.io' } } }),
      /dfdaemon\.yaml/,
      'proxy.registryMirror.adr',
      /proxy\.registryMirror\.addr|\baddr\b/,
    );
  });

  it('stops a scheduler likewise', async () => {
    expectOneLine(
      await runScheduler({ server: { listenIp: LOOPBACK } }),
      /scheduler-\d+\.yaml/,
      /listenIp/,
      /listenIP/,
    );
  });

  it('stops a daemon when the value is wrong, and says what is expected', async () => {
    expectOneLine(await runDaemon({ gc: { interval: 'soon' } }), /dfdaemon\.yaml/, 'gc.interval', /expected/);
  });

  it('stops a daemon when the file is no YAML, and says where', async () => {
    const file = await writeConfig(scratch.path, 'broken.yaml', 'proxy:\n  server: {port: 4001\n');
    expectOneLine(await runApp('dfdaemon', { args: ['--config', file] }), /broken\.yaml:3: not valid YAML/);
  });

  it('stops a daemon when the file it was told to read is not there', async () => {
    const file = join(scratch.path, 'nowhere.yaml');
    expectOneLine(await runApp('dfdaemon', { args: ['--config', file] }), file, /no such file/);
  });

  it('stops dragonfly up when it is an option', async () => {
    const ended = await runApp('dragonfly', { args: ['up', '--data-dri', scratch.path] });
    expect(ended.code).toBe(1);
    expect(ended.lines.join('\n')).toMatch(/unknown option '--data-dri'[^]*--data-dir/);
  });
});

type ConfigOfPort = readonly [name: string, configOf: (port: number) => AppConfig];

/** Ports of a daemon of three kinds: gRPC, pieces, HTTP. */
const SOME_PORTS: readonly ConfigOfPort[] = [
  ['upload', (port) => ({ upload: { server: { port } } })],
  ['piece', (port) => ({ storage: { server: { tcpPort: port } } })],
  ['health', (port) => ({ health: { server: { port } } })],
];
const OTHER_PORTS: readonly ConfigOfPort[] = [
  ['proxy', (port) => ({ proxy: { server: { port } } })],
  ['metrics', (port) => ({ metrics: { server: { port } } })],
];

describe('a port that is taken', () => {
  it.each([...SOME_PORTS, ...(process.env['D7Y_TEST_FULL'] === '1' ? OTHER_PORTS : [])])(
    'stops a daemon when it is the %s port',
    async (_name, configOf) => {
      await using taken = await takenPort();
      expectOneLine(await runDaemon(configOf(taken.port)), `port ${taken.port}`, /in use/);
    },
  );

  it('stops a scheduler', async () => {
    await using taken = await takenPort();
    expectOneLine(await runScheduler({ server: { port: taken.port } }), `port ${taken.port}`, /in use/);
    const metrics = { metrics: { enable: true, addr: `${LOOPBACK}:${taken.port}` } };
    expectOneLine(await runScheduler(metrics), `port ${taken.port}`, /in use/);
  });

  it('stops dragonfly up, all of it', async () => {
    const server = createServer();
    server.listen(PORT_BASE + 201, LOOPBACK); // the mirror of the third daemon
    await once(server, 'listening');
    try {
      expectOneLine(await runUp({ dataDir: join(scratch.path, 'up-port') }), `port ${PORT_BASE + 201}`, /in use/);
    } finally {
      server.close();
    }
  });

  it('stops a daemon when it is the socket of another one, which goes on', async () => {
    await using first = await startDaemon();
    const second = await runDaemon({ download: { server: { socketPath: first.socketPath } } });
    expectOneLine(second, first.socketPath, /another process listens/);
    expect((await fetch(`http://${LOOPBACK}:${first.ports.health}/healthy`)).status).toBe(200);
  });

  it('stops a daemon when it is the storage of another one, which goes on', async () => {
    await using first = await startDaemon();
    expectOneLine(await runDaemon({ storage: { dir: first.storageDir } }), first.storageDir);
    expect((await fetch(`http://${LOOPBACK}:${first.ports.health}/healthy`)).status).toBe(200);
  });
});

describe('a directory that cannot be written', () => {
  let locked: string;

  beforeAll(async () => {
    locked = join(scratch.path, 'locked');
    await mkdir(locked, { mode: 0o555 });
  });

  it('stops a daemon whose storage it is, or would be in', async () => {
    const unprivileged = { unprivileged: true };
    expectOneLine(await runDaemon({ storage: { dir: locked } }, unprivileged), locked, /permission denied/);
    const below = join(locked, 'storage');
    expectOneLine(await runDaemon({ storage: { dir: below } }, unprivileged), locked, /permission denied/);
  });

  it('stops a daemon whose socket would be in it', async () => {
    const { dir, config } = await daemonConfig({ download: { server: { socketPath: join(locked, 'd.sock') } } });
    await chmod(dir, 0o777);
    const file = await writeConfig(dir, 'dfdaemon.yaml', config);
    const ended = await runApp('dfdaemon', { unprivileged: true, args: ['--config', file] });
    expectOneLine(ended, join(locked, 'd.sock'), /permission/);
  });

  it('stops dragonfly up', async () => {
    expectOneLine(await runUp({ dataDir: locked, unprivileged: true }), locked, /permission denied/, /--data-dir/);
    const below = join(locked, 'data');
    expectOneLine(await runUp({ dataDir: below, unprivileged: true }), below, /permission denied/, /--data-dir/);
  });

  it('stops a daemon and dragonfly up where a file is in the way', async () => {
    const file = await writeConfig(scratch.path, 'a-file', '');
    expectOneLine(await runDaemon({ storage: { dir: join(file, 'storage') } }), file, /not a directory/);
    expectOneLine(await runUp({ dataDir: join(file, 'data') }), file, /not a directory/);
  });
});

/** A daemon of its own, without scheduler and peers, that sends everything of an origin through its engine. */
async function startDaemon(over: AppConfig = {}): Promise<DaemonNode> {
  const node = await DaemonNode.prepare({
    name: `node-${made++}`,
    seed: false,
    parentDir: scratch.path,
    schedulers: [],
    config: mergeConfig({ proxy: { rules: [{ regex: 'blobs/' }] } }, over),
  });
  await node.start();
  return node;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('a full disk', () => {
  let disk: SmallDisk;
  let origin: FileOrigin;

  afterEach(async () => {
    await disk.release();
  });

  beforeAll(async () => {
    disk = await smallDisk(48 * MIB);
    origin = await startFileOrigin();
  });

  afterAll(async () => {
    await origin[Symbol.asyncDispose]();
    await disk[Symbol.asyncDispose]();
  });

  /** A registry blob of random bytes: its path and what it must hash to. */
  function publishBlob(seed: string, bytes: number): { path: string; hash: string } {
    const content = pseudoRandomBytes(seed, bytes);
    const hash = sha256(content);
    const path = `/v2/test/app/blobs/sha256:${hash}`;
    origin.publish(path, { bytes: content });
    return { path, hash };
  }

  /** Its share of the disk is its own: otherwise what it holds would yield to the files of others. */
  function startOn(folder: string): Promise<DaemonNode> {
    return startDaemon({ storage: { dir: join(disk.path, folder) }, gc: { policy: { diskThreshold: '40MiB' } } });
  }

  function get(node: DaemonNode, path: string): Promise<Response> {
    return fetch(`${node.proxyUrl}${path}`, { headers: { 'X-Dragonfly-Registry': origin.url } });
  }

  function expectNothingSent(): void {
    expect(origin.log.requests.filter(({ method, sentBytes }) => method === 'GET' && sentBytes > 1)).toEqual([]);
  }

  async function hashOf(answer: Response): Promise<string> {
    return sha256(new Uint8Array(await answer.arrayBuffer()));
  }

  it('stops a daemon that starts on it', async () => {
    await disk.fill();
    const storage = join(disk.path, 'never');
    expectOneLine(await runDaemon({ storage: { dir: storage } }), storage, /no space left/, /storage\.dir/);
  });

  it('stops dragonfly up that starts on it', async () => {
    await disk.fill();
    expectOneLine(await runUp({ dataDir: join(disk.path, 'up') }), disk.path, /no space left/);
  });

  it('lets pulls pass through a daemon, which keeps what it has and stores again when there is room', async () => {
    await using daemon = await startOn('before');
    const held = publishBlob('held', 6 * MIB);
    expect(await hashOf(await get(daemon, held.path))).toBe(held.hash);
    await disk.fill();
    const large = publishBlob('large', 12 * MIB);
    const passed = await get(daemon, large.path);
    expect(passed.status).toBe(200);
    expect(await hashOf(passed)).toBe(large.hash);
    // What was there before is served without the origin.
    origin.log.clear();
    expect(await hashOf(await get(daemon, held.path))).toBe(held.hash);
    expectNothingSent();

    await disk.release();
    expect(await hashOf(await get(daemon, large.path))).toBe(large.hash);
    origin.log.clear();
    expect(await hashOf(await get(daemon, large.path))).toBe(large.hash);
    expectNothingSent();
    daemon.program.throwIfEnded();
  });

  it('that fills in mid-pull costs neither that pull, nor the daemon, nor what it holds', async () => {
    await using daemon = await startOn('meanwhile');
    const held = publishBlob('kept', 5 * MIB);
    expect(await hashOf(await get(daemon, held.path))).toBe(held.hash);
    const large = publishBlob('growing', 16 * MIB);
    using slow = origin.inject({ path: new RegExp(large.hash), fault: { bytesPerSec: 8 * MIB } });
    const answer = await get(daemon, large.path);
    expect(answer.status).toBe(200);
    await disk.fill();
    expect(slow.met).toBeGreaterThan(0);
    expect(await hashOf(answer)).toBe(large.hash);
    slow[Symbol.dispose]();
    expect(await hashOf(await get(daemon, large.path))).toBe(large.hash);
    origin.log.clear();
    expect(await hashOf(await get(daemon, held.path))).toBe(held.hash);
    expectNothingSent();

    // After a crash on the full disk it starts again where there is room, with what it held.
    await daemon.kill('SIGKILL');
    await disk.release();
    await daemon.start();
    origin.log.clear();
    expect(await hashOf(await get(daemon, held.path))).toBe(held.hash);
    expectNothingSent();
    await eventually(async () => {
      expect((await fetch(`http://${LOOPBACK}:${daemon.ports.health}/healthy`)).status).toBe(200);
    });
  });

  it('is said in the log of a daemon that meets it, with the directory', async () => {
    await using daemon = await startOn('said');
    await disk.fill();
    const blob = publishBlob('said', 2 * MIB);
    expect(await hashOf(await get(daemon, blob.path))).toBe(blob.hash);
    await eventually(() => {
      const lines = daemon.lines.filter((line) => /space/.test(line));
      expect(lines.length).toBeGreaterThan(0);
      expect(lines.join('\n')).toContain(disk.path);
    });
  });
});
