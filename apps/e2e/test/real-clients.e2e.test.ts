import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { blobsOf, eventually } from '@d7y/testkit';
import { type ClientRig, REGISTRY_KINDS, REGISTRY_NAME, type RegistryKind, startClientRig } from './_client-rig.ts';
import { type Client, CLIENTS, type Mode, MODES, slug } from './_client-ways.ts';
import { expectEveryByteOnce } from './_cluster.ts';
import { expectNowhere, placesWith, writtenBy } from './_planted.ts';

const FULL = process.env['D7Y_TEST_FULL'] === '1';
const ALL = REGISTRY_KINDS;
const WITHOUT_TLS = ['plain', 'basic', 'bearer'] as const;
const OWN_CA = ['own CA'] as const;

interface Way {
  readonly mode: Mode;
  readonly clients: readonly Client[];
  /** Registries that can be reached in this way. */
  readonly kinds: readonly RegistryKind[];
  /** What is pulled in every run, by client; the rest when D7Y_TEST_FULL is 1. */
  readonly always: Readonly<Partial<Record<Client, readonly RegistryKind[]>>>;
}

/** Every way in which a client can pull through a daemon. */
const WAYS: readonly Way[] = [
  {
    mode: 'mirror by header',
    clients: ['ctr', 'CRI'],
    kinds: ALL,
    always: { ctr: ['plain', 'own CA'], CRI: ['basic', 'bearer'] },
  },
  { mode: 'mirror by ns', clients: ['ctr', 'CRI'], kinds: ALL, always: { ctr: ['bearer'], CRI: ['own CA'] } },
  {
    mode: 'mirror by default',
    clients: ['skopeo', 'podman', 'dockerd'],
    kinds: ALL,
    always: { skopeo: ['bearer'], podman: ['plain', 'basic'], dockerd: ['plain', 'basic', 'bearer', 'own CA'] },
  },
  {
    mode: 'mirror by path',
    clients: ['skopeo', 'podman'],
    kinds: ALL,
    always: { skopeo: ['own CA'], podman: ['bearer'] },
  },
  {
    mode: 'path in the name',
    clients: ['ctr', 'CRI', 'skopeo', 'podman', 'dockerd'],
    kinds: ALL,
    always: { ctr: ['basic'], CRI: ['plain'], skopeo: ['plain'], podman: ['own CA'], dockerd: ['bearer'] },
  },
  {
    mode: 'forward proxy',
    clients: ['ctr', 'CRI', 'skopeo', 'podman', 'dockerd'],
    kinds: WITHOUT_TLS,
    always: { ctr: ['plain'], CRI: ['bearer'], skopeo: ['basic'], podman: ['bearer'], dockerd: ['plain'] },
  },
  {
    mode: 'CONNECT, intercepted',
    clients: ['ctr', 'CRI', 'skopeo', 'podman', 'dockerd'],
    kinds: ALL,
    always: { ctr: ['bearer'], CRI: ['own CA'], skopeo: ['plain'], podman: ['own CA'], dockerd: ['basic'] },
  },
  {
    mode: 'CONNECT, tunnel',
    clients: ['ctr', 'CRI', 'skopeo', 'podman', 'dockerd'],
    kinds: OWN_CA,
    always: { ctr: OWN_CA, CRI: OWN_CA, skopeo: OWN_CA, podman: OWN_CA, dockerd: OWN_CA },
  },
];

/** What is not there, and why. */
const LEFT_OUT: readonly {
  readonly mode: Mode;
  readonly clients: readonly Client[];
  readonly kinds: readonly RegistryKind[];
  readonly why: string;
}[] = [
  ...(['mirror by header', 'mirror by ns'] as const).map((mode) => ({
    mode,
    clients: ['skopeo', 'podman', 'dockerd'] as const,
    kinds: ALL,
    why: 'they send a mirror neither headers of ours nor the name of the registry',
  })),
  {
    mode: 'mirror by default',
    clients: ['ctr', 'CRI'],
    kinds: ALL,
    why: 'containerd says ns to every mirror, so there is nothing to assume',
  },
  { mode: 'mirror by path', clients: ['ctr', 'CRI'], kinds: ALL, why: 'containerd has ns for it' },
  {
    mode: 'mirror by path',
    clients: ['dockerd'],
    kinds: ALL,
    why: 'Docker refuses to start with a mirror that has a path',
  },
  {
    mode: 'forward proxy',
    clients: ['ctr', 'CRI', 'skopeo', 'podman', 'dockerd'],
    kinds: OWN_CA,
    why: 'clients ask a proxy for a registry with TLS by CONNECT',
  },
  {
    mode: 'CONNECT, tunnel',
    clients: ['ctr', 'CRI', 'skopeo', 'podman', 'dockerd'],
    kinds: WITHOUT_TLS,
    why: 'clients open a tunnel for TLS only',
  },
];

interface Cell {
  readonly client: Client;
  readonly mode: Mode;
}

function cellsOf(kind: RegistryKind): Cell[] {
  return WAYS.filter(({ kinds }) => kinds.includes(kind)).flatMap(({ mode, clients, always }) =>
    clients.filter((client) => FULL || always[client]?.includes(kind)).map((client) => ({ client, mode })),
  );
}

it('pulls in every way there is, by every client, from every registry, or says why not', () => {
  const listed = [...WAYS, ...LEFT_OUT].flatMap(({ mode, clients, kinds }) =>
    clients.flatMap((client) => kinds.map((kind) => `${client}, ${mode}, ${kind}`)),
  );
  const all = Object.keys(CLIENTS).flatMap((client) =>
    Object.keys(MODES).flatMap((mode) => REGISTRY_KINDS.map((kind) => `${client}, ${mode}, ${kind}`)),
  );
  expect(listed.toSorted()).toEqual(all.toSorted());
  for (const { mode, clients, kinds, always } of WAYS) {
    // Each client in each mode has its turn in every run.
    expect({ mode, clients: Object.keys(always).toSorted() }).toEqual({ mode, clients: clients.toSorted() });
    expect(kinds).toEqual(expect.arrayContaining(Object.values(always).flat()));
  }
});

describe.each(REGISTRY_KINDS)('a registry (%s)', (kind) => {
  let rig: ClientRig;

  beforeAll(async () => {
    rig = await startClientRig(kind);
  });

  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  it.each(cellsOf(kind))('is pulled from by $client, $mode', async ({ client, mode }) => {
    const { bench, nodes } = rig;
    const repository = slug(`${client}-${mode}`);
    const image = await rig.publish(repository);
    bench.origin.log.clear();
    await Promise.all(nodes.map((node) => CLIENTS[client](rig, node, mode, image)));
    const blobs = blobsOf(image.layout);
    if (mode === 'CONNECT, tunnel') {
      // Nobody can read what is in it: each client has all of it from the registry.
      const tunnel = `"CONNECT ${rig.proxiedHost}"`;
      for (const { daemon } of nodes) await eventually(() => expect(daemon.lines.join('\n')).toContain(tunnel));
      for (const { digest, size } of blobs) {
        expect(bench.origin.log.blobCoverage(digest, size).ranges).toEqual([{ start: 0, end: size, times: 2 }]);
      }
      return;
    }
    expectEveryByteOnce(bench.origin, blobs);
    for (const { daemon } of nodes) {
      // A client may have ended before the daemon has written its lines.
      await eventually(() => {
        expect(modesOf(daemon.lines, `/test/${repository}/`)).toEqual(new Set([MODES[mode]]));
      });
    }
  });

  it('and no credential stands in any log, metric or file', async () => {
    const places = await writtenBy(rig.bench.cluster);
    expect(rig.secrets().length > 0).toBe(kind === 'basic' || kind === 'bearer');
    // Where it tells of the registry, it would tell of its callers, too.
    expect(placesWith(places, REGISTRY_NAME)).toEqual(expect.arrayContaining(['log of daemon-0', 'log of daemon-1']));
    if (rig.secrets().length > 0) expectNowhere(places, rig.secrets());
  });
});

/** In which modes a daemon, as its log says, was asked for something whose path has this part. */
function modesOf(lines: readonly string[], part: string): Set<string | undefined> {
  const requests = lines.filter((line) => /"request":"[^"]*"/.exec(line)?.[0].includes(part));
  return new Set(requests.map((line) => /"mode":"(\w+)"/.exec(line)?.[1]));
}
