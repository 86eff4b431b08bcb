import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startOtlpReceiver } from '@d7y/testkit';
import { expect, it } from '@jest/globals';
import { blobPath, contentOf, DaemonFarm, get, startOrigin } from './_cluster.ts';

const LARGE = contentOf('traced', 9 * 2 ** 20);
const blobs = new Map([[blobPath(LARGE), LARGE]]);

it('puts a pull into one trace: from the request as received to the upload and the origin request of the seed', async () => {
  await using origin = await startOrigin(blobs);
  await using traces = await startOtlpReceiver();
  const tracing = { protocol: 'http', endpoint: traces.host };
  const farm = await DaemonFarm.create();
  const path = `${blobPath(LARGE)}?ns=${encodeURIComponent(origin.authority)}&X-Amz-Signature=planted`;
  try {
    const seed = await farm.start('seed', { seedPeer: { enable: true }, tracing });
    const seeds = { version: 1, seeds: [{ hostId: seed.hostId, ip: '127.0.0.1', port: seed.ports.upload }] };
    await mkdir(join(farm.dir, 'child'));
    await writeFile(join(farm.dir, 'child', 'seeds.json'), JSON.stringify(seeds));
    const child = await farm.start('child', { tracing });
    const plain = path.replace('&X-Amz-Signature=planted', '');
    expect((await get({ port: child.ports.proxy }, plain)).body).toHaveLength(LARGE.length);
    expect((await get({ port: child.ports.proxy }, path)).body).toHaveLength(LARGE.length);
  } finally {
    await farm[Symbol.asyncDispose](); // sends what is buffered
  }
  const searched = path.replace('&X-Amz-Signature=planted', '');
  const [traceId = '', ...others] = traces.search(({ attributes }) => attributes['http.url'] === searched);
  expect(others).toEqual([]);
  const spans = traces.trace(traceId);
  const named = (name: string, service: string) =>
    spans.filter((span) => span.name === name && span.service === `${service}-127.0.0.1`);
  const [request] = named('http_handler', 'dfdaemon');
  expect(request?.attributes).toMatchObject({
    'http.method': 'GET',
    'http.status_code': 200,
    'd7y.bytes.remote_peer': LARGE.length,
    'd7y.bytes.back_to_source': 0,
    'd7y.served_from': 'remote',
  });
  expect(request?.parentSpanId).toBe('');
  expect(named('upload_piece', 'seed-peer')).toHaveLength(3);
  expect(named('origin GET', 'seed-peer').length).toBeGreaterThan(0);
  const ids = new Set(spans.map(({ spanId }) => spanId));
  expect(spans.filter(({ parentSpanId }) => !ids.has(parentSpanId)).map(({ name }) => name)).toEqual(['http_handler']);
  for (const body of traces.bodies) expect(body.includes('planted')).toBe(false);
}, 30_000);
