import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A host that containerd asks before the registry itself. */
export interface MirrorHost {
  /** `http://127.0.0.1:4001`. */
  readonly url: string;
  /** Sent with every request to this host. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: pull and resolve. */
  readonly capabilities?: readonly ('pull' | 'resolve')[];
}

export interface HostsTomlOptions {
  /** Folder of hosts files, one folder per registry in it. */
  readonly certsDir: string;
  /** The registry of the image names: `127.0.0.1:5000`. */
  readonly registry: string;
  /** Where the registry really is; asked when no mirror serves. */
  readonly server: string;
  /** Authority of a registry that speaks TLS. */
  readonly caFile?: string;
  readonly mirrors: readonly MirrorHost[];
}

/** Writes `<certsDir>/<registry>/hosts.toml`, which containerd reads anew for every pull, and returns its path. */
export async function writeHostsToml({
  certsDir,
  registry,
  server,
  caFile,
  mirrors,
}: HostsTomlOptions): Promise<string> {
  const dir = join(certsDir, registry);
  await mkdir(dir, { recursive: true });
  // Keys of the file itself must stand before the first table.
  const lines = [`server = ${quote(server)}`];
  if (caFile !== undefined) lines.push(`ca = ${quote(caFile)}`);
  for (const { url, headers = {}, capabilities = ['pull', 'resolve'] } of mirrors) {
    lines.push('', `[host.${quote(url)}]`, `  capabilities = [${capabilities.map(quote).join(', ')}]`);
    if (Object.keys(headers).length > 0) lines.push(`  [host.${quote(url)}.header]`);
    for (const [name, value] of Object.entries(headers)) lines.push(`    ${quote(name)} = [${quote(value)}]`);
  }
  // A file without any host table is thrown away, with its authority.
  if (mirrors.length === 0) {
    lines.push('', `[host.${quote(server)}]`, '  capabilities = ["pull", "resolve"]');
    if (caFile !== undefined) lines.push(`  ca = ${quote(caFile)}`);
  }
  const path = join(dir, 'hosts.toml');
  await writeFile(path, `${lines.join('\n')}\n`);
  return path;
}

/** A TOML basic string; JSON's escapes are among TOML's. */
function quote(text: string): string {
  return JSON.stringify(text);
}
