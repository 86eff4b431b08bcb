import type { ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { dfdaemon } from '@d7y/api';
import { DfError } from '@d7y/piece';
import type { BlockListSource } from '@d7y/registry-proxy';
import { createHttpHandler, listen, sendLine } from '@d7y/service-kit';
import { z } from 'zod';
import type { Explanation } from '../observe/explanation.ts';
import type { DaemonStatus } from '../observe/status.ts';
import { OutputRoots } from '../output/output-roots.ts';
import { downloadService } from '../rpc/download-service.ts';
import { makeDirectory } from './listening.ts';
import { readJsonBody } from '../rpc/json-body.ts';
import type { RpcParts } from './rpc-parts.ts';
import { openDoor, type Runtime } from './runtime.ts';
import type { SwarmAccess } from './swarm.ts';

/** A question about a URL. */
const explainRequest = z.object({ url: z.string().min(1) });
const MAX_EXPLAIN_BYTES = 64 * 1024;

/**
 * The unix socket for programs on this machine: gRPC, and over HTTP/1 as JSON what this daemon says of itself: `GET /status`,
 * `POST /explain`.
 * @throws {StartError}
 */
export async function serveLocalSocket(
  runtime: Runtime,
  { rpc, shared }: RpcParts,
  { directory }: SwarmAccess,
  parts: {
    readonly status: () => Promise<DaemonStatus>;
    readonly explain: (url: string) => Explanation;
    readonly blockLists: BlockListSource;
    readonly onBlocked: () => void;
  },
): Promise<string> {
  const { config } = runtime;
  const { status, explain, blockLists, onBlocked } = parts;
  const { socketPath, socketMode } = config.download.server;
  const outputRoots = new OutputRoots(config.download.outputRoots);
  await makeDirectory(dirname(socketPath));
  openDoor(
    runtime,
    await listen({
      ...shared,
      path: socketPath,
      mode: socketMode,
      grpc: (router) =>
        void router.service(
          dfdaemon.DfdaemonDownload,
          downloadService({
            ...rpc,
            outputRoots,
            blockLists,
            onBlocked,
            pieceLength: config.download.pieceSize,
            leave: (options) => directory.leave(options),
          }),
        ),
      http: createHttpHandler([
        {
          method: 'GET',
          path: '/status',
          handler: async (_request, response) => sendJson(response, 200, await status()),
        },
        {
          method: 'POST',
          path: '/explain',
          handler: async (request, response) => {
            try {
              const { url } = await readJsonBody(request, explainRequest, MAX_EXPLAIN_BYTES);
              sendJson(response, 200, explain(url));
            } catch (error) {
              // What a client of the proxy would be told is an answer here.
              if (!(error instanceof DfError)) throw error;
              sendLine(response, 422, error.message);
            }
          },
        },
      ]),
    }),
  );
  return socketPath;
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    .end(body);
}
