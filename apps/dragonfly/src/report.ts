import type { LocalCluster, Node } from './cluster.ts';
import type { Proof } from './proof.ts';

const MIB = 2 ** 20;

/** Everything a program wants to know, as one line of JSON. */
export function jsonReport(cluster: LocalCluster, proof: Proof | undefined): string {
  return JSON.stringify({
    scheduler: `127.0.0.1:${cluster.schedulerPort}`,
    nodes: cluster.nodes.map(({ name, isSeed, daemon: { hostId, ports, socketPath } }) => ({
      ...{ name, isSeed, hostId, ports, socketPath },
      proxy: `http://127.0.0.1:${ports.proxy}`,
    })),
    ...(proof === undefined ? {} : { proof }),
  });
}

/** Who got how much from where, and how fast. */
export function proofTable({ contentBytes, originBytes, rows }: Proof): string {
  const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
  const lines = [
    ['', 'from origin', 'from peers', 'to peers', 'seconds', 'MiB/s'],
    ...rows.map(({ name, fromOrigin, fromPeers, toPeers, seconds }) => [
      name,
      mib(fromOrigin),
      mib(fromPeers),
      mib(toPeers),
      seconds === undefined ? '' : seconds.toFixed(2),
      seconds === undefined ? '' : (contentBytes / MIB / seconds).toFixed(0),
    ]),
  ];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  const table = lines.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  );
  const title = `A new file of ${mib(contentBytes)} MiB through three daemons at once (in MiB):`;
  return [
    title,
    ...table,
    `The origin sent ${mib(originBytes)} MiB: ${(originBytes / contentBytes).toFixed(2)}x the file.`,
    '',
  ].join('\n');
}

/** How to use what runs now. */
export function instructions(cluster: LocalCluster): string {
  const daemons = cluster.nodes.filter(({ isSeed }) => !isSeed);
  const [first, second = first, third = second] = daemons;
  if (first === undefined || second === undefined || third === undefined) return '';
  const proxyOf = ({ daemon }: Node): string => `127.0.0.1:${daemon.ports.proxy}`;
  return `Registry mirrors: ${daemons.map((node) => `${node.name} http://${proxyOf(node)}`).join(', ')}
Scheduler: 127.0.0.1:${cluster.schedulerPort}

containerd (all registries, through ${first.name}):
  mkdir -p /etc/containerd/certs.d/_default
  cat > /etc/containerd/certs.d/_default/hosts.toml <<'END'
  [host."http://${proxyOf(first)}"]
    capabilities = ["pull", "resolve"]
  END
  ctr images pull --hosts-dir /etc/containerd/certs.d docker.io/library/busybox:latest

podman (Docker Hub, through ${second.name}):
  cat > /tmp/dragonfly-registries.conf <<'END'
  [[registry]]
  prefix = "docker.io"
  location = "docker.io"
  [[registry.mirror]]
  location = "${proxyOf(second)}"
  insecure = true
  END
  CONTAINERS_REGISTRIES_CONF=/tmp/dragonfly-registries.conf podman pull docker.io/library/busybox:latest

dfget (any file, through ${third.name}):
  dfget --endpoint ${third.daemon.socketPath} https://example.com/ -O /tmp/example.html
  dfget status --endpoint ${third.daemon.socketPath}

Ctrl-C stops everything.
`;
}
