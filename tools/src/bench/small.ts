import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { startCluster, tempDir } from '@d7y/testkit';
import { type BenchOptions, MEMORY_DIR, type Measurement } from './measurement.ts';
import { startNginx } from './nginx.ts';

/** Objects that count: there are only 256 of one byte. */
const OBJECTS = 200;
/** Objects first fetched by programs that have just started; they do not count. */
const WARM_UP = 40;

/**
 * Objects of one byte, one after the other, over one connection to a daemon: cold, when another daemon holds them; then warm. Times are
 * from the request to the last byte of the answer.
 * @throws when an answer is wrong; when a warm object, or the content of a cold one, is asked of the origin
 */
export async function benchSmall({ progress }: BenchOptions): Promise<readonly Measurement[]> {
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const root = join(scratch.path, 'www');
  const dir = join(root, 'v2', 'bench', 'blobs');
  await mkdir(dir, { recursive: true });
  const paths: string[] = [];
  for (let value = 0; value < OBJECTS + WARM_UP; value++) {
    const content = Buffer.of(value);
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    await writeFile(join(dir, digest), content);
    paths.push(`/v2/bench/blobs/${digest}`);
  }
  await using origin = await startNginx(root, { log: true });
  await using cluster = await startCluster({ daemons: 2, seeds: 0, parentDir: scratch.path });
  const [holder, asker] = cluster.daemons;
  if (holder === undefined || asker === undefined) throw new RangeError('a cluster of two daemons has two daemons');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const headers = { 'X-Dragonfly-Registry': origin.url };
  const times = async (base: string): Promise<number[]> => {
    const found: number[] = [];
    for (const [value, path] of paths.entries()) {
      found.push(await timeOfGet(`${base}${path}`, agent, headers, value));
    }
    return found.slice(WARM_UP);
  };

  progress('one daemon gets the objects');
  await times(holder.proxyUrl);
  const sentBefore = await origin.sentBytes();
  progress('the other one gets them');
  const cold = await times(asker.proxyUrl);
  const sentCold = (await origin.sentBytes()) - sentBefore;
  // Whether it may have an object costs a byte where HEAD is not answered; nginx answers it.
  if (sentCold > 0) throw new Error(`${sentCold} bytes came from the origin instead of from the other daemon`);
  const requestsBefore = await origin.requests();
  const warm = await times(asker.proxyUrl);
  const asked = (await origin.requests()) - requestsBefore;
  agent.destroy();
  if (asked > 0) throw new Error(`the origin was asked ${asked} times for what the daemon held`);
  return [latencyOf('small', cold, { must: 12, aim: 6 }), latencyOf('smallWarm', warm, { must: 3, aim: 1 })];
}

function latencyOf(name: string, milliseconds: readonly number[], target: { must: number; aim: number }): Measurement {
  const sorted = milliseconds.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
  const [p50, p90, p99] = [at(0.5), at(0.9), at(0.99)];
  return {
    name,
    value: p50,
    unit: 'ms',
    target,
    details: { p90, p99, max: sorted.at(-1), objects: sorted.length },
    text: [`p90, p99                ${p90.toFixed(2)}, ${p99.toFixed(2)} ms over ${sorted.length} objects`],
  };
}

/** @returns milliseconds until the answer, which must be this one byte, has arrived */
function timeOfGet(url: string, agent: Agent, headers: Record<string, string>, value: number): Promise<number> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, headers, timeout: 30_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const elapsed = performance.now() - began;
        const body = Buffer.concat(chunks);
        if (response.statusCode === 200 && body.length === 1 && body[0] === value) resolve(elapsed);
        else reject(new Error(`${url} answered ${response.statusCode} with ${body.length} bytes`));
      });
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`${url} does not answer`))).on('error', reject);
  });
}
