import { describe, expect, it } from '@jest/globals';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter } from 'prom-client';
import { createMetrics, metricsHandler } from '../observe/metrics.ts';
import { createHttpHandler, sendLine } from './http-handler.ts';

async function serve(handler: ReturnType<typeof createHttpHandler>) {
  const server = createServer((request, response) => void handler(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

describe('createHttpHandler', () => {
  const handler = createHttpHandler([
    { method: 'GET', path: '/a', handler: (_request, response) => sendLine(response, 200, 'got a') },
    { method: 'PUT', path: '/a', handler: (_request, response) => sendLine(response, 201, 'put a') },
    {
      method: 'GET',
      path: '/b/*',
      handler: (request, response) => sendLine(response, 200, `below ${request.url ?? ''}`),
    },
    { method: 'GET', path: '/b/c/*', handler: (_request, response) => sendLine(response, 200, 'closer') },
  ]);

  it.each([
    ['GET', '/a?x=1', 200, 'got a\n'],
    ['PUT', '/a', 201, 'put a\n'],
    ['HEAD', '/a', 200, ''],
    ['DELETE', '/a', 405, 'method not allowed\n'],
    ['GET', '/b/x', 200, 'below /b/x\n'],
    ['GET', '/b/c/d', 200, 'closer\n'],
    ['GET', '/b', 404, 'not found\n'],
    ['GET', '/constructor', 404, 'not found\n'],
  ])('answers %s %s with %d', async (method, path, status, body) => {
    using server = await serve(handler);
    const response = await fetch(server.url + path, { method });
    expect([response.status, await response.text()]).toEqual([status, body]);
    if (status === 405) expect(response.headers.get('allow')).toBe('GET, PUT');
  });
});

describe('metricsHandler', () => {
  it('shows the metrics of its own service and of the process, and no others', async () => {
    const [mine, other] = [createMetrics(), createMetrics({ processMetrics: false })];
    new Counter({ name: 'mine_total', help: 'x', registers: [mine.registry] }).inc(3);
    new Counter({ name: 'other_total', help: 'x', registers: [other.registry] }).inc();
    using server = await serve(createHttpHandler([{ method: 'GET', path: '/metrics', handler: metricsHandler(mine) }]));
    const response = await fetch(`${server.url}/metrics`);
    const text = await response.text();
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect(text).toContain('mine_total 3');
    expect(text).toContain('process_cpu_user_seconds_total');
    expect(text).not.toContain('other_total');
    mine.registry.clear();
  });
});
