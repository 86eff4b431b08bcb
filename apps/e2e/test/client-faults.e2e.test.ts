import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ChildProgram, criPull, type DaemonNode, dockerPull, eventually } from '@d7y/testkit';
import { type ClientNode, type ClientRig, startClientRig } from './_client-rig.ts';
import { type Client, CLIENTS, type Mode, nameForContainerd, nameOf } from './_client-ways.ts';
import type { PublishedImage } from './_cluster.ts';

const MIB = 2 ** 20;

/** `falls back`: the image comes from the registry itself. `fails`: the client says so. */
type Outcome = 'falls back' | 'fails';

interface Case {
  readonly client: Client;
  readonly mode: Mode;
  /** The daemon's registry has no such manifest; no such blob; cannot be connected to. */
  readonly noManifest: Outcome;
  readonly noBlob: Outcome;
  readonly down: Outcome;
}

/** As these clients treat any mirror. Docker would fall back too, but only ever to Docker Hub, which is not to be reached from here. */
const CASES: readonly Case[] = [
  { client: 'ctr', mode: 'mirror by ns', noManifest: 'falls back', noBlob: 'falls back', down: 'falls back' },
  { client: 'CRI', mode: 'mirror by ns', noManifest: 'falls back', noBlob: 'falls back', down: 'falls back' },
  // Where the manifest came from, the blobs have to come from as well.
  { client: 'skopeo', mode: 'mirror by default', noManifest: 'falls back', noBlob: 'fails', down: 'falls back' },
  { client: 'podman', mode: 'mirror by default', noManifest: 'falls back', noBlob: 'fails', down: 'falls back' },
  { client: 'dockerd', mode: 'mirror by default', noManifest: 'fails', noBlob: 'fails', down: 'fails' },
  // The daemon is all that these know.
  { client: 'ctr', mode: 'path in the name', noManifest: 'fails', noBlob: 'fails', down: 'fails' },
  { client: 'skopeo', mode: 'path in the name', noManifest: 'fails', noBlob: 'fails', down: 'fails' },
  { client: 'dockerd', mode: 'CONNECT, intercepted', noManifest: 'fails', noBlob: 'fails', down: 'fails' },
];

/** No client may wait longer for the end of its pull; Docker alone tries again, after 5 s and more. */
const BOUND_MS = 60_000;

let rig: ClientRig;
/** The same with the registry's own name in that of images: what a daemon finds there and what a client finds there differ. */
let besideDaemons: ClientRig;

beforeAll(async () => {
  rig = await startClientRig('plain', { hidesRegistry: true });
  const { host, url } = rig.bench.registry;
  besideDaemons = { ...rig, bench: { ...rig.bench, origin: { ...rig.bench.origin, host, url } } };
});

afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

async function expectOutcome(
  node: ClientNode,
  { client, mode }: Case,
  outcome: Outcome,
  image: PublishedImage,
): Promise<void> {
  const startedMs = performance.now();
  const pull = CLIENTS[client](besideDaemons, node, mode, image);
  if (outcome === 'fails') await expect(pull).rejects.toThrow();
  else await pull;
  expect(performance.now() - startedMs).toBeLessThan(BOUND_MS);
}

type FiveImages = [PublishedImage, PublishedImage, PublishedImage, PublishedImage, PublishedImage];

/** Starts a pull by each client, in the order of CLIENTS. @returns kills them all, and waits until they are gone */
async function startFive(node: ClientNode, images: FiveImages): Promise<() => Promise<void>> {
  const { env, containerd, dockerd, podman, daemon } = node;
  const [forCtr, forCri, forSkopeo, forPodman, forDocker] = images;
  const ctr = await ChildProgram.start(
    'ctr',
    ['--address', containerd.socket, 'images', 'pull', '--hosts-dir', containerd.certsDir].concat(
      await nameForContainerd(rig, node, 'mirror by ns', forCtr),
    ),
    { env },
  );
  const cri = criPull(containerd, await nameForContainerd(rig, node, 'mirror by ns', forCri));
  const named = (image: PublishedImage): string => nameOf(rig, node, 'path in the name', image);
  const to = `dir:${join(rig.bench.scratch, 'killed-skopeo')}`;
  const skopeo = await ChildProgram.start('skopeo', [
    ...['copy', '--src-tls-verify=false', `docker://${named(forSkopeo)}`, to],
  ]);
  const leavePodman = new AbortController();
  const byPodman = podman.podman(['pull', '--tls-verify=false', named(forPodman)], { signal: leavePodman.signal });
  const docker = dockerPull(dockerd, named(forDocker));
  const ends = Promise.allSettled([cri, byPodman, docker]);
  return async () => {
    leavePodman.abort();
    const programs = [ctr, skopeo, containerd.program, dockerd.program];
    await Promise.all(programs.map((program) => program.kill('SIGKILL')));
    for (const { status } of await ends) expect(status).toBe('rejected');
    expect(daemon.program.end).toBeUndefined();
  };
}

/** Connections of clients to a daemon's proxy that are established or that the daemon has not closed yet. */
async function connectionsTo({ ports }: DaemonNode): Promise<number> {
  const here = `:${ports.proxy.toString(16).toUpperCase().padStart(4, '0')}`;
  const [, ...lines] = (await readFile('/proc/net/tcp', 'utf8')).trim().split('\n');
  return lines.filter((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    return local.endsWith(here) && (state === ESTABLISHED || state === CLOSE_WAIT);
  }).length;
}

/** States in /proc/net/tcp. */
const ESTABLISHED = '01';
const CLOSE_WAIT = '08';

/** Downloads and uploads that a daemon has under way, as its metrics tell. */
async function openWork({ metricsUrl }: DaemonNode): Promise<number> {
  const text = await (await fetch(metricsUrl)).text();
  const gauges = [...text.matchAll(/^dragonfly_client_concurrent_\w+(?:\{[^}]*\})? (\S+)$/gm)];
  expect(gauges.length).toBeGreaterThan(0);
  return gauges.reduce((sum, [, value]) => sum + Number(value), 0);
}

describe('a daemon whose registry', () => {
  const node = (): ClientNode => rig.nodes[0] as ClientNode;

  it.each(CASES)('has no such manifest: $client, $mode, $noManifest', async (one) => {
    const image = await rig.publish(`no-manifest-${CASES.indexOf(one)}`);
    using fault = rig.bench.origin.inject({ path: /\/manifests\//, fault: { status: 404 } });
    await expectOutcome(node(), one, one.noManifest, image);
    expect(fault.met).toBeGreaterThan(0);
  });

  it.each(CASES)('has no such blob: $client, $mode, $noBlob', async (one) => {
    const image = await rig.publish(`no-blob-${CASES.indexOf(one)}`);
    using fault = rig.bench.origin.inject({ path: /\/blobs\//, fault: { status: 404 } });
    await expectOutcome(node(), one, one.noBlob, image);
    expect(fault.met).toBeGreaterThan(0);
  });
});

describe('clients that are killed in mid-pull, all five at once', () => {
  it('leave nothing behind: no connection, no task, no request to the registry', async () => {
    const [node, other] = rig.nodes as [ClientNode, ClientNode];
    const { origin } = rig.bench;
    const images = await Promise.all(
      Object.keys(CLIENTS).map(async (client) => rig.publish(`killed-${client.toLowerCase()}`, [8 * MIB])),
    );
    origin.log.clear();
    {
      using _slow = origin.inject({ path: /\/blobs\//, fault: { bytesPerSec: MIB } });
      const kill = await startFive(node, images as FiveImages);
      await eventually(() => {
        // All five layers are on their way.
        expect(
          origin.log.blobRequests().filter(({ state, sentBytes }) => state === 'open' && sentBytes > MIB / 2),
        ).toHaveLength(5);
      });
      expect(await connectionsTo(node.daemon)).toBeGreaterThanOrEqual(5);
      await kill();
    }
    await eventually(async () => expect(await connectionsTo(node.daemon)).toBe(0));
    await eventually(async () => {
      for (const daemon of [...rig.bench.cluster.daemons, ...rig.bench.cluster.seeds]) {
        expect({ [daemon.name]: await openWork(daemon) }).toEqual({ [daemon.name]: 0 });
      }
    });
    // The registry sees its last byte go a moment after the daemon has it.
    await eventually(() => expect(origin.log.requests.filter(({ state }) => state === 'open')).toEqual([]));
    // And what they began is no obstacle.
    for (const image of images) await CLIENTS.skopeo(rig, other, 'mirror by default', image);
  });
});

// The last one: its origin does not come back.
describe('a daemon whose registry is down', () => {
  it('makes clients fall back, or fail, in time', async () => {
    const images = await Promise.all(CASES.map((_, index) => rig.publish(`down-${index}`)));
    const [, other] = rig.nodes as [ClientNode, ClientNode]; // the engines of the first were killed
    await rig.bench.origin[Symbol.asyncDispose]();
    for (const [index, one] of CASES.entries()) {
      await expectOutcome(other, one, one.down, images[index] as PublishedImage);
      // A client may have ended before the daemon has written its line.
      await eventually(() => {
        const answers = other.daemon.lines.filter((line) => line.includes(`/test/down-${index}/manifests/`));
        expect(answers.some((line) => /"status":50[0-9]/.test(line))).toBe(true);
      });
    }
  });
});
