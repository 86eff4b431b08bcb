import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type Cluster,
  type DaemonNode,
  eventually,
  type FileOrigin,
  pseudoRandomBytes,
  startCluster,
  startFileOrigin,
} from '@d7y/testkit';
import { createHash } from 'node:crypto';
import { type Ended, runApp } from './_program.ts';

const MIB = 2 ** 20;

let cluster: Cluster;
let origin: FileOrigin;
let first: DaemonNode;
let second: DaemonNode;
let blob: { url: string; digest: string };

beforeAll(async () => {
  origin = await startFileOrigin();
  cluster = await startCluster({ daemons: 2 });
  const [one, other] = cluster.daemons;
  if (one === undefined || other === undefined) throw new Error('a cluster of two daemons has them');
  [first, second] = [one, other];
  const content = pseudoRandomBytes('explained', 9 * MIB);
  const hex = createHash('sha256').update(content).digest('hex');
  const url = origin.publish(`/v2/org/app/blobs/sha256:${hex}`, { bytes: content });
  blob = { url, digest: hex };
  for (const daemon of [first, second]) {
    const answer = await fetch(`${daemon.proxyUrl}${new URL(url).pathname}`, {
      headers: { 'x-dragonfly-registry': origin.url },
    });
    expect((await answer.arrayBuffer()).byteLength).toBe(content.length);
  }
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

function dfctl(args: readonly string[], daemon: DaemonNode = second): Promise<Ended> {
  return runApp('dfctl', { args: [...args, '--endpoint', daemon.socketPath] });
}

interface Explained {
  readonly task: { id: string; held?: { isComplete: boolean; bytes: { fromPeers: number; byPeer: unknown[] } } };
  readonly download: { outcome: string; parents: { hostId: string; state: string; receivedBytes: number }[] };
  readonly route: { kind: string; rule: { index: number; regex: string } };
  readonly schedulers: { address: string; reachable: boolean }[];
  readonly seeds: string[];
}

async function explained(url: string, daemon: DaemonNode = second): Promise<Explained> {
  const ended = await dfctl(['explain', url, '--format', 'json'], daemon);
  expect(ended).toMatchObject({ code: 0, stderr: [] });
  return JSON.parse(ended.stdout[0] ?? '') as Explained;
}

describe('dfctl explain', () => {
  it('says which rule decided, which task it is, and where each byte came from', async () => {
    const { route, task, download, schedulers, seeds } = await explained(blob.url);
    expect(route).toMatchObject({ kind: 'task', rule: { index: 0, regex: 'blobs/sha256.*' } });
    expect(task.held).toMatchObject({ isComplete: true, bytes: { fromPeers: 9 * MIB } });
    expect(download.outcome).toBe('succeeded');
    const given = download.parents.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0);
    expect(given).toBe(9 * MIB);
    expect(download.parents.some(({ state, hostId }) => state === 'asked' && seeds.includes(hostId))).toBe(true);
    expect(schedulers).toEqual([{ address: expect.any(String), reachable: true }]);
  });

  it('says it to people, with the parents in a table', async () => {
    const ended = await dfctl(['explain', blob.url]);
    expect(ended).toMatchObject({ code: 0, stderr: [] });
    const text = ended.stdout.join('\n');
    expect(text).toMatch(/^Route: +through the swarm \(rule 1 matches\)$/m);
    expect(text).toMatch(/^Rule: +number 1: \/blobs\/sha256\.\*\/$/m);
    expect(text).toMatch(/^From peers: +9\.0 MiB$/m);
    expect(text).toMatch(/^PARENT +ADDRESS +STATE/m);
    expect(text).toMatch(/scheduler .* offers \d+ parents/);
  });

  it('tells what goes straight to the upstream, and what was never asked for', async () => {
    const direct = await dfctl(['explain', 'https://ghcr.io/token', '--format', 'json']);
    expect(JSON.parse(direct.stdout[0] ?? '')).toMatchObject({ route: { kind: 'direct', why: 'no rule' } });
    const unknown = await explained(`${origin.url}/v2/org/app/blobs/sha256:${'0'.repeat(64)}`);
    expect(unknown.task.held).toBeUndefined();
    expect(unknown.download).toBeUndefined();
  });

  it('refuses what the proxy would refuse', async () => {
    const ended = await dfctl(['explain', 'http://169.254.169.254/latest/meta-data']);
    expect(ended.code).toBe(1);
    expect(ended.stderr.join('\n')).toContain('169.254.169.254');
  });
});

describe('dfctl task', () => {
  it('lists, tells and removes what is in the cache', async () => {
    const { task } = await explained(blob.url, first);
    const listed = await dfctl(['task', 'ls', '-o', 'json'], first);
    expect(JSON.parse(listed.stdout[0] ?? '')).toEqual(
      expect.arrayContaining([expect.objectContaining({ id: task.id, contentLength: 9 * MIB })]),
    );
    expect((await dfctl(['task', 'stat', task.id], first)).stdout.join('\n')).toContain('9.0 MiB');
    expect(await dfctl(['task', 'rm', task.id], first)).toMatchObject({ code: 0, stdout: ['Task Removed!'] });
    await eventually(async () => expect((await explained(blob.url, first)).task.held).toBeUndefined());
    const gone = await dfctl(['task', 'rm', task.id], first);
    expect(gone.code).toBe(1);
    expect(gone.stderr.join('\n')).toMatch(/is not known on this host[^]*dfctl task ls/);
  });

  it('ends with 2 for an id that is none', async () => {
    expect((await dfctl(['task', 'rm', 'abc'])).code).toBe(2);
  });
});

describe('dfctl swarm', () => {
  it('lists what the scheduler knows, for people and for programs', async () => {
    const scheduler = cluster.scheduler?.address ?? '';
    const json = await runApp('dfctl', { args: ['swarm', 'tasks', '--scheduler', scheduler, '-o', 'json'] });
    expect(json).toMatchObject({ code: 0, stderr: [] });
    expect(JSON.parse(json.stdout[0] ?? '')).toMatchObject({
      subject: 'tasks',
      isComplete: true,
      rows: expect.arrayContaining([expect.objectContaining({ id: blob.digest, contentLength: 9 * MIB })]),
    });
    const peers = await runApp('dfctl', { args: ['swarm', 'peers', '--scheduler', scheduler, '--task', blob.digest] });
    expect(peers.stdout[0]).toMatch(/^ID +TASK +STATE +PIECES/);
    expect(peers.stdout.join('\n')).toContain('Succeeded');
    expect(await runApp('dfctl', { args: ['swarm', 'peers', '--scheduler', 'nowhere'] })).toMatchObject({ code: 2 });
  });
});
