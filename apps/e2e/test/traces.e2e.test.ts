import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type DaemonNode,
  eventually,
  formatTree,
  type OtlpReceiver,
  type ReceivedSpan,
  type SpanNode,
  startOtlpReceiver,
} from '@d7y/testkit';
import { type PublishedImage, type PullBench, startPullBench } from './_cluster.ts';

const MIB = 2 ** 20;
const KIND = { server: 2, client: 3 } as const;

let traces: OtlpReceiver;
let bench: PullBench;

beforeAll(async () => {
  traces = await startOtlpReceiver();
  bench = await startPullBench({ daemons: 2, traces });
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  await traces[Symbol.asyncDispose]();
});

interface Blob {
  readonly digest: string;
  readonly size: number;
  /** Path and query as the client sends them. */
  readonly target: string;
}

async function publishBlob(tag: string): Promise<Blob> {
  const image: PublishedImage = await bench.publish({ tag, layerBytes: [18 * MIB] });
  const layer = image.layout.platforms[0]?.layers[0];
  if (layer === undefined) throw new Error('the image has a layer');
  const ns = encodeURIComponent(bench.origin.host);
  return { ...layer, target: `/v2/test/app/blobs/${layer.digest}?ns=${ns}` };
}

async function pull(daemon: DaemonNode, blob: Blob, headers: Record<string, string> = {}): Promise<void> {
  const answer = await fetch(`${daemon.proxyUrl}${blob.target}`, {
    headers: { 'X-Dragonfly-Registry': bench.origin.url, ...headers },
  });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  expect(answer.status).toBe(200);
  expect(`sha256:${createHash('sha256').update(bytes).digest('hex')}`).toBe(blob.digest);
}

const hostOf = ({ resource }: ReceivedSpan): string => String(resource['host.name']);
const isProxySpanOf = (blob: Blob) => (span: ReceivedSpan) => span.attributes['http.url'] === blob.target;
const sum = (spans: readonly ReceivedSpan[], attribute: string): number =>
  spans.reduce((total, { attributes }) => total + Number(attributes[attribute] ?? 0), 0);

/** The trace of the only pull of this blob by this daemon, when all of it has arrived. */
async function traceOf(daemon: DaemonNode, blob: Blob): Promise<ReceivedSpan[]> {
  return eventually(
    () => {
      const own = traces.spans.filter((span) => isProxySpanOf(blob)(span) && hostOf(span) === daemon.name);
      expect(own).toHaveLength(1);
      const spans = traces.trace(own[0]?.traceId ?? '');
      const received = spans.filter(({ name }) => name === 'download_piece');
      const sent = spans.filter(({ name }) => name === 'upload_piece');
      // Every piece that was asked for was also sent, and calls end last.
      expect(sent.length).toBeGreaterThanOrEqual(received.length);
      expect(spans.some(({ name }) => name === 'register peer')).toBe(true);
      expect(traces.tree(own[0]?.traceId ?? '')).toHaveLength(1);
      return spans;
    },
    { timeoutMs: 15_000 },
  );
}

/** The spans above one, nearest first. */
function ancestors(span: ReceivedSpan, spans: readonly ReceivedSpan[]): ReceivedSpan[] {
  const parent = spans.find(({ spanId }) => spanId === span.parentSpanId);
  return parent === undefined ? [] : [parent, ...ancestors(parent, spans)];
}

/** `host: name` of a span and those above it, up to the root. */
function pathOf(span: ReceivedSpan | undefined, spans: readonly ReceivedSpan[]): string[] {
  if (span === undefined) return [];
  return [span, ...ancestors(span, spans)].map((one) => `${hostOf(one)}: ${one.name}`);
}

describe('a cold pull', () => {
  let blob: Blob;
  let spans: ReceivedSpan[];
  let roots: SpanNode[];

  beforeAll(async () => {
    blob = await publishBlob('cold');
    const [daemon] = bench.cluster.daemons;
    if (daemon === undefined) throw new Error('a cluster of two daemons has a first');
    await pull(daemon, blob);
    spans = await traceOf(daemon, blob);
    roots = traces.tree(spans[0]?.traceId ?? '');
  });

  const named = (name: string, host?: string) =>
    spans.filter((span) => span.name === name && (host === undefined || hostOf(span) === host));

  it('is one trace, found by its URL as received, whose root tells status and bytes by where they came from', () => {
    expect(traces.search(isProxySpanOf(blob))).toEqual([spans[0]?.traceId]);
    expect(roots).toHaveLength(1);
    const root = roots[0]?.span;
    expect(root).toMatchObject({
      name: 'http_handler',
      parentSpanId: '',
      kind: KIND.server,
      statusCode: 0,
      attributes: {
        'http.url': blob.target,
        'http.method': 'GET',
        'http.status_code': 200,
        'http.response_content_length': blob.size,
        task_id: blob.digest.replace('sha256:', ''),
        'd7y.bytes.local_peer': 0,
      },
    });
    const from = root?.attributes ?? {};
    expect(Number(from['d7y.bytes.back_to_source']) + Number(from['d7y.bytes.remote_peer'])).toBe(blob.size);
    // The seed fetched it; this daemon got all of it from there.
    expect(from['d7y.bytes.remote_peer']).toBe(blob.size);
  });

  it('leads from the proxy through the task and its pieces to the uploads of the parent', () => {
    const [task] = named('download_task', 'daemon-0');
    expect(pathOf(task, spans)).toEqual(['daemon-0: download_task', 'daemon-0: http_handler']);
    expect(task?.attributes).toMatchObject({ content_length: blob.size });
    const pieces = named('download_piece', 'daemon-0');
    expect(pieces.length).toBeGreaterThanOrEqual(Math.ceil(blob.size / (4 * MIB)));
    for (const piece of pieces) {
      expect(pathOf(piece, spans).slice(0, 2)).toEqual(['daemon-0: download_piece', 'daemon-0: download_task']);
      expect(piece.kind).toBe(KIND.client);
    }
    const uploads = named('upload_piece');
    expect(new Set(uploads.map(hostOf))).toEqual(new Set(['seed-0']));
    expect(sum(uploads, 'sent_bytes')).toBe(blob.size);
    for (const upload of uploads) {
      expect(upload.kind).toBe(KIND.server);
      expect(pathOf(upload, spans)).toEqual([
        'seed-0: upload_piece',
        'seed-0: rpc dfdaemon.v2.DfdaemonUpload/SyncPieces',
        'daemon-0: rpc dfdaemon.v2.DfdaemonUpload/SyncPieces',
        'daemon-0: download_task',
        'daemon-0: http_handler',
      ]);
    }
  });

  it('leads to the scheduler, and from there to the request of the seed to the origin', () => {
    for (const step of ['register peer', 'schedule']) {
      const taken = spans.filter(({ service, name }) => service === 'scheduler' && name === step);
      expect(taken.map((span) => pathOf(span, spans).slice(1))).toContainEqual([
        'daemon-0: download_task',
        'daemon-0: http_handler',
      ]);
    }

    const fetches = named('origin GET', 'seed-0').filter(
      ({ attributes }) => attributes['http.response.body.size'] !== 1,
    );
    expect(sum(fetches, 'http.response.body.size')).toBe(blob.size);
    for (const fetched of fetches) {
      expect(fetched.attributes).toMatchObject({
        'url.path': `/v2/test/app/blobs/${blob.digest}`,
        'server.address': '127.0.0.1',
      });
      const above = ancestors(fetched, spans);
      expect(above.map((span) => `${span.service}: ${span.name}`)).toEqual(
        expect.arrayContaining(['scheduler: trigger seed', 'dfdaemon-127.0.0.1: http_handler']),
      );
      expect(above.filter((span) => span.name === 'download_task').map(hostOf)).toEqual(['seed-0', 'daemon-0']);
    }
  });

  it('names its services so that a search finds them, and marks nothing as failed', () => {
    const services = new Set(spans.map(({ service }) => service));
    expect(services).toEqual(new Set(['dfdaemon-127.0.0.1', 'seed-peer-127.0.0.1', 'scheduler']));
    const failed = spans.filter(({ statusCode }) => statusCode === 2);
    expect(failed.map((span) => `${span.service}: ${span.name}: ${span.statusMessage}`)).toEqual([]);
    // Parents begin before their children; clocks are one here.
    for (const span of spans) {
      const [parent] = ancestors(span, spans);
      if (parent !== undefined && parent.startMs > span.startMs + 1) throw new Error(formatTree(roots));
    }
  });
});

describe('two daemons at one address', () => {
  it('are told apart, in what they are and in whose trace an upload lies', async () => {
    const blob = await publishBlob('both');
    const { daemons } = bench.cluster;
    await Promise.all(daemons.map((daemon) => pull(daemon, blob)));
    const both = await Promise.all(daemons.map((daemon) => traceOf(daemon, blob)));
    expect(new Set(both.map((spans) => spans[0]?.traceId)).size).toBe(2);
    for (const [index, spans] of both.entries()) {
      const name = daemons[index]?.name;
      const root = spans.find(isProxySpanOf(blob));
      expect(root?.resource).toMatchObject({
        'host.name': name,
        'host.ip': '127.0.0.1',
        'service.instance.id': `127.0.0.1-${name}`,
      });
      // What this daemon got from others is what others sent it, and lies in its own trace. Where the machine is busy, a piece that is late
      // is sent by two, and one of them for nothing.
      const got = Number(root?.attributes['d7y.bytes.remote_peer']);
      await eventually(() => {
        const uploads = traces.trace(root?.traceId ?? '').filter((span) => span.name === 'upload_piece');
        expect(uploads.map(hostOf)).not.toContain(name);
        expect(sum(uploads, 'sent_bytes')).toBeGreaterThanOrEqual(got);
        expect(sum(uploads, 'sent_bytes')).toBeLessThan(2 * got);
      });
    }
  });
});

describe('a client with a trace of its own', () => {
  it('finds the pull in it', async () => {
    const blob = await publishBlob('traced');
    const [daemon] = bench.cluster.daemons;
    if (daemon === undefined) throw new Error('a cluster of two daemons has a first');
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const spanId = '00f067aa0ba902b7';
    await pull(daemon, blob, { traceparent: `00-${traceId}-${spanId}-01` });
    const spans = await traceOf(daemon, blob);
    expect(spans[0]?.traceId).toBe(traceId);
    expect(spans.find(isProxySpanOf(blob))?.parentSpanId).toBe(spanId);
  });
});
