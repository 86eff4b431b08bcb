import { createHttpHandler, type HttpRoute, listen, metricsHandler } from '@d7y/service-kit';
import type { Runtime } from './runtime.ts';

/** The ports for operators: metrics and health. @throws {StartError} */
export async function serveOperators(
  runtime: Runtime,
): Promise<{ readonly metrics: number | undefined; readonly health: number }> {
  const { config, metrics } = runtime;
  const metricsPort = config.metrics.enable
    ? await plain(runtime, config.metrics.server, '/metrics', metricsHandler(metrics))
    : undefined;
  const healthPort = await plain(runtime, config.health.server, '/healthy', (_request, response) => {
    response.writeHead(200, { 'content-length': '0' }).end();
  });
  return { metrics: metricsPort, health: healthPort };
}

async function plain(
  { anyAddress, logger, stack }: Runtime,
  { ip, port }: { readonly ip?: string | undefined; readonly port: number },
  path: string,
  handler: HttpRoute['handler'],
): Promise<number> {
  const http = createHttpHandler([{ method: 'GET', path, handler }]);
  return stack.use(await listen({ host: ip ?? anyAddress, port, http, logger, drainMs: 0 })).port;
}
