import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import {
  blobsOf,
  containerdContent,
  type Credentials,
  criPull,
  ctrPull,
  directoryContent,
  dockerPull,
  podmanPull,
  skopeoCopy,
  writeHostsToml,
  writeRegistriesConf,
} from '@d7y/testkit';
import { type ClientNode, type ClientRig, REGISTRY_NAME } from './_client-rig.ts';
import { expectHolds, type PublishedImage } from './_cluster.ts';

/** How a client comes to a registry through a daemon, and what the daemon's log calls that. */
export const MODES = {
  'mirror by header': 'mirror',
  'mirror by ns': 'mirror',
  'mirror by default': 'mirror',
  'mirror by path': 'prefix',
  'path in the name': 'prefix',
  'forward proxy': 'forward',
  'CONNECT, intercepted': 'intercepted',
  'CONNECT, tunnel': 'connect',
} as const;
export type Mode = keyof typeof MODES;

/**
 * Pulls an image as one client does, and looks at what it has then.
 * @throws when the pull fails, or brought something else
 */
type Pull = (rig: ClientRig, node: ClientNode, mode: Mode, image: PublishedImage) => Promise<void>;

/** Real clients by name. */
export const CLIENTS = {
  ctr: async (rig, node, mode, image) => {
    const name = await nameForContainerd(rig, node, mode, image);
    await ctrPull(node.containerd, name, { env: node.env, ...credentialsOf(rig) });
    expectHolds(await containerdContent(node.containerd), image);
  },
  CRI: async (rig, node, mode, image) => {
    const name = await nameForContainerd(rig, node, mode, image);
    const id = await criPull(node.containerd, name, credentialsOf(rig));
    expect(id).toBe(configurationOf(image));
    expectHolds(await containerdContent(node.containerd), image);
  },
  skopeo: async (rig, node, mode, image) => {
    const dir = join(rig.bench.scratch, `skopeo-${node.daemon.name}-${slug(mode)}`);
    await skopeoCopy(nameOf(rig, node, mode, image), dir, {
      ...(await configureContainersImage(rig, node, mode)),
      certDir: node.certDir,
    });
    const blobs = blobsOf(image.layout).map(({ digest, size }) => [digest, size] as const);
    expect(Object.fromEntries(await directoryContent(dir))).toEqual(Object.fromEntries(blobs));
  },
  podman: async (rig, node, mode, image) => {
    // podman hashes what it unpacks: an id means that every layer had its digest.
    const id = await podmanPull(node.podman, nameOf(rig, node, mode, image), {
      ...(await configureContainersImage(rig, node, mode)),
      certDir: node.certDir,
    });
    expect(`sha256:${id}`).toBe(configurationOf(image));
  },
  dockerd: async (rig, node, mode, image) => {
    // Docker Hub is the only registry that it asks mirrors for: names without a registry mean it.
    const name = mode === 'mirror by default' ? pathOf(image) : nameOf(rig, node, mode, image);
    expect(await dockerPull(node.dockerd, name, credentialsOf(rig))).toBe(configurationOf(image));
  },
} satisfies Record<string, Pull>;
export type Client = keyof typeof CLIENTS;

/** A mode and a client in words that a repository may be called. */
export function slug(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, '-');
}

function configurationOf(image: PublishedImage): string | undefined {
  return blobsOf(image.layout)[0]?.digest;
}

function credentialsOf({ credentials }: ClientRig): { readonly credentials?: Credentials } {
  return credentials === undefined ? {} : { credentials };
}

/** `repository:tag`. */
function pathOf({ name }: PublishedImage): string {
  return name.slice(name.indexOf('/') + 1);
}

/** The registry as image names have it in this mode. */
function registryOf({ bench, proxiedHost }: ClientRig, { daemon }: ClientNode, mode: Mode): string {
  switch (mode) {
    case 'path in the name':
      return `${daemon.proxyHost}/${REGISTRY_NAME}`;
    case 'forward proxy':
    case 'CONNECT, tunnel':
      return proxiedHost;
    case 'CONNECT, intercepted':
      return REGISTRY_NAME;
    case 'mirror by header':
    case 'mirror by ns':
    case 'mirror by default':
    case 'mirror by path':
      return bench.origin.host;
  }
}

export function nameOf(rig: ClientRig, node: ClientNode, mode: Mode, image: PublishedImage): string {
  return `${registryOf(rig, node, mode)}/${pathOf(image)}`;
}

/** Whether the client itself speaks TLS, to the registry or to what it takes for it. */
function speaksTls(mode: Mode): boolean {
  return mode === 'CONNECT, tunnel' || mode === 'CONNECT, intercepted';
}

/** Writes the hosts file of this mode; containerd reads it anew for every pull. @returns the image's name */
export async function nameForContainerd(
  rig: ClientRig,
  node: ClientNode,
  mode: Mode,
  image: PublishedImage,
): Promise<string> {
  const { bench } = rig;
  const [host = ''] = registryOf(rig, node, mode).split('/');
  const isMirror = MODES[mode] === 'mirror';
  await writeHostsToml({
    certsDir: node.containerd.certsDir,
    registry: host,
    server: isMirror ? bench.origin.url : `${speaksTls(mode) ? 'https' : 'http'}://${host}`,
    ...(speaksTls(mode) || (isMirror && rig.isTls) ? { caFile: join(node.certDir, 'all.crt') } : {}),
    mirrors: isMirror
      ? [
          {
            url: node.daemon.proxyUrl,
            ...(mode === 'mirror by header' && { headers: { 'X-Dragonfly-Registry': bench.origin.url } }),
          },
        ]
      : [],
  });
  return nameOf(rig, node, mode, image);
}

/** Writes what skopeo and podman read. Credentials that are arguments go to the registry only, those of a file to a mirror as well. */
async function configureContainersImage(
  rig: ClientRig,
  node: ClientNode,
  mode: Mode,
): Promise<{ readonly registriesConf: string; readonly env: Readonly<Record<string, string>> }> {
  const dir = join(rig.bench.scratch, `conf-${node.daemon.name}-${slug(mode)}`);
  const [registry = ''] = registryOf(rig, node, mode).split('/');
  const { proxyHost } = node.daemon;
  const registriesConf = await writeRegistriesConf(dir, {
    registry,
    secure: speaksTls(mode),
    ...(mode === 'mirror by default' && { mirror: proxyHost }),
    ...(mode === 'mirror by path' && { mirror: `${proxyHost}/${REGISTRY_NAME}` }),
  });
  const { username, password } = rig.credentials ?? {};
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  const auths = rig.credentials === undefined ? {} : { [registry]: { auth }, [proxyHost]: { auth } };
  const authFile = join(dir, 'auth.json');
  await writeFile(authFile, JSON.stringify({ auths }));
  return { registriesConf, env: { ...node.env, REGISTRY_AUTH_FILE: authFile } };
}
