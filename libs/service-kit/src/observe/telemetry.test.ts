import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { context, trace } from '@opentelemetry/api';
import { Secret } from './secret.ts';
import { contextFromTraceparent, currentTraceparent, traceparentOf, withSpan } from './span.ts';
import { createTelemetry, noTelemetry, OFF_SPAN } from './telemetry.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function startCollector(status: number | 'silent' = 200) {
  const received: { url: string | undefined; headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({ url: request.url, headers: request.headers, body: Buffer.concat(chunks).toString('latin1') });
      if (status !== 'silent') response.writeHead(status).end();
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { received, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('createTelemetry', () => {
  it('is off without an endpoint: no span, no context, the function just runs', async () => {
    const telemetry = createTelemetry({ serviceName: 'a', env: {} });
    expect(telemetry.enabled).toBe(false);
    await withSpan(telemetry.tracer, 'x', {}, async (span) => {
      expect(span).toBe(OFF_SPAN);
      expect(currentTraceparent()).toBeUndefined();
    });
    await telemetry.shutdown();
  });

  it('sends spans as OTLP to the endpoint, flushed at shutdown, with the attributes of the instance', async () => {
    const { received, address } = await startCollector();
    const telemetry = createTelemetry({
      serviceName: 'dfdaemon-a',
      attributes: { 'host.name': 'node-7' },
      endpoint: address,
      headers: { 'x-tenant': new Secret('t1') },
      env: {},
    });
    await withSpan(telemetry.tracer, 'pull', { attributes: { 'http.url': '/v2/x' } }, async () =>
      withSpan(telemetry.tracer, 'piece', {}, async () => undefined),
    );
    await telemetry.shutdown();
    expect(received).toHaveLength(1);
    expect(received[0]).toMatchObject({
      url: '/v1/traces',
      headers: { 'content-type': 'application/x-protobuf', 'x-tenant': 't1' },
    });
    for (const text of ['dfdaemon-a', 'dragonfly', 'node-7', 'pull', 'piece', '/v2/x'])
      expect(received[0]?.body).toContain(text);
  });

  it('keeps the services of one process apart', async () => {
    const [one, two] = [await startCollector(), await startCollector()];
    const first = createTelemetry({ serviceName: 'first', endpoint: `http://${one.address}`, env: {} });
    const second = createTelemetry({ serviceName: 'second', endpoint: `http://${two.address}/custom`, env: {} });
    await withSpan(first.tracer, 'of-first', {}, async () =>
      withSpan(second.tracer, 'of-second', {}, async () => undefined),
    );
    await Promise.all([first.shutdown(), second.shutdown()]);
    expect(one.received[0]?.body).toContain('of-first');
    expect(one.received[0]?.body).not.toContain('of-second');
    expect(two.received[0]).toMatchObject({ url: '/custom' });
    expect(two.received[0]?.body).toContain('of-second');
  });

  it('honours OTEL_EXPORTER_OTLP_ENDPOINT', async () => {
    const { received, address } = await startCollector();
    await using telemetry = createTelemetry({
      serviceName: 'a',
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://${address}/` },
    });
    telemetry.tracer.startSpan('x').end();
    await telemetry.shutdown();
    expect(received[0]?.url).toBe('/v1/traces');
  });

  it.each(['silent', 500, 400] as const)('shuts down in bounded time when the collector answers %s', async (status) => {
    const { address } = await startCollector(status);
    const telemetry = createTelemetry({ serviceName: 'a', endpoint: address, env: {} });
    telemetry.tracer.startSpan('x').end();
    const beganMs = performance.now();
    await telemetry.shutdown();
    // Exporters wait for ten seconds where nobody tells them otherwise.
    expect(performance.now() - beganMs).toBeLessThan(9_000);
  });

  it('refuses endpoints and protocols it cannot speak to', () => {
    expect(() => createTelemetry({ serviceName: 'a', endpoint: 'ftp://x', env: {} })).toThrow('tracing.endpoint');
    expect(() => createTelemetry({ serviceName: 'a', endpoint: 'x:4317', protocol: 'grpc', env: {} })).toThrow('4318');
  });

  it('follows the decision of a remote parent, and samples its own traces by ratio', async () => {
    const { address } = await startCollector();
    await using telemetry = createTelemetry({ serviceName: 'a', endpoint: address, sampleRatio: 0, env: {} });
    const isSampled = (parent?: string) => {
      const span = telemetry.tracer.startSpan('x', {}, contextFromTraceparent(parent) ?? context.active());
      span.end();
      return (span.spanContext().traceFlags & 1) === 1;
    };
    expect(isSampled()).toBe(false);
    expect(isSampled(`00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`)).toBe(true);
    expect(isSampled(`00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`)).toBe(false);
  });
});

describe('withSpan', () => {
  it('makes its span current across awaits, below the given parent, and marks failures without secrets', async () => {
    const { received, address } = await startCollector();
    const { tracer, shutdown } = createTelemetry({ serviceName: 'a', endpoint: address, env: {} });
    const parent = contextFromTraceparent(`00-${'c'.repeat(32)}-${'d'.repeat(16)}-01`);
    const work = withSpan(tracer, 'failing', { parent }, async (span) => {
      await new Promise((resolve) => setImmediate(resolve));
      expect(currentTraceparent()).toBe(`00-${'c'.repeat(32)}-${span.spanContext().spanId}-01`);
      throw new Error('GET http://h/?sig=pl4nt3d failed');
    });
    await expect(work).rejects.toThrow('pl4nt3d');
    expect(currentTraceparent()).toBeUndefined();
    await shutdown();
    expect(received[0]?.body).toContain('GET http://h/?sig=* failed');
    expect(received[0]?.body).not.toContain('pl4nt3d');
  });

  it('costs next to nothing when off', async () => {
    const { tracer } = noTelemetry();
    const result = Promise.resolve(1);
    const run = () => result;
    const choices = {};
    for (let i = 0; i < 20_000; i++) void withSpan(tracer, 'x', choices, run);
    const beganMs = performance.now();
    for (let i = 0; i < 1_000_000; i++) void withSpan(tracer, 'x', choices, run);
    expect((performance.now() - beganMs) / 1_000).toBeLessThan(1); // microseconds a call; measured: 0.003
  });
});

describe('traceparent', () => {
  it('survives both directions', () => {
    const text = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`;
    const remote = contextFromTraceparent(text, 'vendor=1');
    expect(remote && traceparentOf(remote)).toBe(text);
    expect(remote && trace.getSpanContext(remote)?.traceState?.serialize()).toBe('vendor=1');
  });

  it.each(['', null, undefined, 'x', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`])('makes nothing of %j', (text) =>
    expect(contextFromTraceparent(text)).toBeUndefined(),
  );
});
