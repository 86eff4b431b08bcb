import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ExportTraceServiceRequestSchema } from '../src/gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../src/telemetry/otlp-receiver.ts';
import { formatTree } from '../src/telemetry/trace-tree.ts';

const id = (byte: number, length: number) => new Uint8Array(length).fill(byte);
const TRACE = '01'.repeat(16);
let receiver: OtlpReceiver;

beforeEach(async () => {
  receiver = await startOtlpReceiver();
});

afterEach(async () => {
  await receiver[Symbol.asyncDispose]();
});

function exported(service: string, name: string, span: number, parent: number): Uint8Array {
  const message = create(ExportTraceServiceRequestSchema, {
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { value: { case: 'stringValue', value: service } } }] },
        scopeSpans: [
          {
            spans: [
              {
                traceId: id(1, 16),
                spanId: id(span, 8),
                parentSpanId: parent === 0 ? new Uint8Array() : id(parent, 8),
                name,
                kind: 2,
                startTimeUnixNano: BigInt(span) * 1_000_000n,
                endTimeUnixNano: BigInt(span) * 1_000_000n + 2_500_000n,
                attributes: [
                  { key: 'http.url', value: { value: { case: 'stringValue', value: 'http://x/v2/' } } },
                  { key: 'bytes', value: { value: { case: 'intValue', value: 7n } } },
                ],
                status: { code: 2, message: 'refused' },
              },
            ],
          },
        ],
      },
    ],
  });
  return toBinary(ExportTraceServiceRequestSchema, message);
}

const post = (body: Uint8Array, headers: Record<string, string> = {}) =>
  fetch(`${receiver.endpoint}/v1/traces`, {
    method: 'POST',
    body: Buffer.from(body),
    headers: { 'content-type': 'application/x-protobuf', ...headers },
  });

describe('startOtlpReceiver', () => {
  it('reads spans, packed or not', async () => {
    expect((await post(exported('dfdaemon', 'pull', 2, 0))).status).toBe(200);
    await post(gzipSync(exported('scheduler', 'register', 3, 2)), { 'content-encoding': 'gzip' });
    expect(receiver.spans[0]).toMatchObject({
      service: 'dfdaemon',
      name: 'pull',
      traceId: TRACE,
      parentSpanId: '',
      kind: 2,
      startMs: 2,
      endMs: 4.5,
      statusCode: 2,
      statusMessage: 'refused',
      attributes: { 'http.url': 'http://x/v2/', bytes: 7 },
    });
    expect(receiver.trace(TRACE)).toHaveLength(2);
    expect(receiver.search((span) => span.attributes['http.url'] === 'http://x/v2/')).toEqual([TRACE]);
  });

  it('joins the spans of several services to one tree', async () => {
    await post(exported('dfdaemon', 'piece', 4, 3));
    await post(exported('dfdaemon', 'task', 3, 2));
    await post(exported('dfdaemon', 'pull', 2, 0));
    await post(exported('seed-peer', 'origin', 5, 3));
    const tree = receiver.tree(TRACE);
    expect(tree).toHaveLength(1);
    expect(formatTree(tree)).toBe(
      [
        'dfdaemon: pull (3 ms)',
        '  dfdaemon: task (3 ms)',
        '    dfdaemon: piece (3 ms)',
        '    seed-peer: origin (3 ms)',
      ].join('\n'),
    );
  });

  it('shows a span whose parent is missing as another root', async () => {
    await post(exported('dfdaemon', 'pull', 2, 0));
    await post(exported('dfdaemon', 'piece', 4, 3));
    expect(receiver.tree(TRACE)).toHaveLength(2);
  });

  it('refuses what is no export', async () => {
    expect((await post(new Uint8Array([0xff, 0xff, 0xff]))).status).toBe(400);
    expect((await post(new Uint8Array(), { 'content-type': 'application/json' })).status).toBe(415);
    expect(receiver.spans).toHaveLength(0);
  });
});
