import type { Secret } from '@d7y/service-kit';
import type { ClusterPlan } from './plan.ts';
import type { ProofResult } from './proof.ts';

const MIB = 2 ** 20;
const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;

/** The proof as a table for people. */
export function formatProof({ contentBytes, originBytes, rows, holds }: ProofResult): string {
  const cells = [
    ['', 'from origin', 'from peers', 'given to peers', 'its client got'],
    ...rows.map((row) => [
      row.name,
      mib(row.fromSourceBytes),
      mib(row.fromPeersBytes),
      mib(row.uploadedBytes),
      row.seconds === undefined
        ? '-'
        : `${mib(row.deliveredBytes)} in ${row.seconds.toFixed(2)} s, ${mib(row.deliveredBytes / row.seconds)}/s`,
    ]),
  ];
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = cells.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
  const times = (originBytes / contentBytes).toFixed(2);
  const verdict = holds
    ? `The origin sent each byte once (${times}x); the rest came from peers.`
    : `NOT AS IT SHOULD BE: the origin sent ${mib(originBytes)} of ${mib(contentBytes)} (${times}x), or a client got other bytes.`;
  return [`${mib(contentBytes)} through three daemons at once:`, ...lines, verdict].join('\n');
}

/** Told at the start that made the user, and never again. */
export function formatRootPassword(password: Secret): string {
  return `The manager has a user root now. Its password, shown this once: ${password.reveal()}`;
}

/**
 * How to pull through the daemons that run.
 * @param commands those that run dfget and dfctl here
 */
export function formatUse(
  { daemons, manager }: ClusterPlan,
  { dfget, dfctl }: { readonly dfget: string; readonly dfctl: string },
): string {
  const nodes = daemons.filter(({ isSeed }) => !isSeed);
  const [first] = nodes;
  if (first === undefined) throw new Error('a cluster has daemons');
  const mirror = `127.0.0.1:${first.proxyPort}`;
  return `Registry mirrors: ${nodes.map(({ proxyPort }) => `http://127.0.0.1:${proxyPort}`).join('  ')}

containerd (ctr, also as root on this machine):
  mkdir -p /tmp/certs.d/docker.io && cat >/tmp/certs.d/docker.io/hosts.toml <<'TOML'
  server = "https://registry-1.docker.io"
  [host."http://${mirror}"]
    capabilities = ["pull", "resolve"]
    [host."http://${mirror}".header]
      X-Dragonfly-Registry = "https://registry-1.docker.io"
  TOML
  ctr images pull --hosts-dir /tmp/certs.d docker.io/library/busybox:latest

podman:
  cat >/tmp/registries.conf <<'TOML'
  [[registry]]
  prefix = "docker.io"
  location = "docker.io"
  [[registry.mirror]]
  location = "${mirror}"
  insecure = true
  TOML
  CONTAINERS_REGISTRIES_CONF=/tmp/registries.conf podman pull docker.io/library/busybox:latest

dfget:
  ${dfget} --endpoint ${first.socketPath} https://example.com/file -O /tmp/file
  ${dfget} --endpoint ${first.socketPath} status

manager at http://127.0.0.1:${manager.restPort} (no token needed for these, on this machine):
  curl -s http://127.0.0.1:${manager.restPort}/api/v1/preheat -H 'content-type: application/json' \\
    -d '{"type":"image","url":"docker.io/library/busybox:latest","scope":"all_peers"}'
  curl -s http://127.0.0.1:${manager.restPort}/api/v1/preheat/1
  ${dfctl} preheat docker.io/library/busybox:latest --scope all_peers --wait --manager http://127.0.0.1:${manager.restPort}`;
}
