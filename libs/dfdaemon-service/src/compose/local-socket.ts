import { dirname } from 'node:path';
import { dfdaemon } from '@d7y/api';
import { createHttpHandler, listen } from '@d7y/service-kit';
import type { DaemonStatus } from '../observe/status.ts';
import { OutputRoots } from '../output/output-roots.ts';
import { downloadService } from '../rpc/download-service.ts';
import { makeDirectory } from './listening.ts';
import type { RpcParts } from './rpc-parts.ts';
import type { Runtime } from './runtime.ts';
import type { SwarmAccess } from './swarm.ts';

/** The unix socket for programs on this machine: gRPC, and the status of this daemon as JSON. @throws {StartError} */
export async function serveLocalSocket(
  { config, stack }: Runtime,
  { rpc, shared }: RpcParts,
  { directory }: SwarmAccess,
  status: () => Promise<DaemonStatus>,
): Promise<string> {
  const { socketPath, socketMode } = config.download.server;
  const outputRoots = new OutputRoots(config.download.outputRoots);
  await makeDirectory(dirname(socketPath));
  stack.use(
    await listen({
      ...shared,
      path: socketPath,
      mode: socketMode,
      grpc: (router) =>
        void router.service(
          dfdaemon.DfdaemonDownload,
          downloadService({ ...rpc, outputRoots, leave: (options) => directory.leave(options) }),
        ),
      http: createHttpHandler([
        {
          method: 'GET',
          path: '/status',
          handler: async (_request, response) => {
            const body = JSON.stringify(await status());
            response
              .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
              .end(body);
          },
        },
      ]),
    }),
  );
  return socketPath;
}
