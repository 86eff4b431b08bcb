import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { PassThrough } from 'node:stream';
import type { ServiceImpl } from '@connectrpc/connect';
import { common, dfdaemon } from '@d7y/api';
import { create } from '@bufbuild/protobuf';
import { createHealth, createLogger, listen } from '@d7y/service-kit';
import { pieceDigestOf } from '@d7y/piece';
import { runDfget } from './run.ts';

type Downloads = ServiceImpl<typeof dfdaemon.DfdaemonDownload>['downloadTask'];
type Response = dfdaemon.DownloadTaskResponse;

/** A daemon's socket in a directory of its own, which goes with it. */
export interface FakeDaemon extends AsyncDisposable {
  readonly directory: string;
  readonly socket: string;
}

/** Serves what a daemon serves at its unix socket, with the real listener. */
export async function startFakeDaemon({
  downloadTask,
  status,
  state = 'SERVING',
}: {
  downloadTask?: Downloads;
  /** Body of GET /status; 404 without. */
  status?: string;
  /** `undefined` leaves the service unknown. */
  state?: 'SERVING' | 'NOT_SERVING' | 'UNKNOWN';
}): Promise<FakeDaemon> {
  const directory = await mkdtemp(path.join(tmpdir(), 'dfget-'));
  const socket = path.join(directory, 'dfdaemon.sock');
  const health = createHealth();
  if (state !== 'UNKNOWN') health.set(dfdaemon.DfdaemonDownload.typeName, state);
  const listener = await listen({
    path: socket,
    health,
    logger: createLogger({ name: 'fake', level: 'silent' }),
    grpc: (router) => router.service(dfdaemon.DfdaemonDownload, downloadTask === undefined ? {} : { downloadTask }),
    http: (request, response) => {
      const isThere = request.url === '/status' && status !== undefined;
      response.writeHead(isThere ? 200 : 404, { 'content-type': 'application/json' }).end(isThere ? status : undefined);
    },
    drainMs: 0,
  });
  return {
    directory,
    socket,
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** First message of a download. */
export function started(contentLength: number, rest: { pieces?: common.Piece[]; isFinished?: boolean } = {}): Response {
  const value = create(dfdaemon.DownloadTaskStartedResponseSchema, { contentLength: BigInt(contentLength), ...rest });
  return message({ case: 'downloadTaskStartedResponse', value });
}

/** A piece that has arrived. */
export function finished(piece: common.Piece): Response {
  const value = create(dfdaemon.DownloadPieceFinishedResponseSchema, { piece });
  return message({ case: 'downloadPieceFinishedResponse', value });
}

function message(response: Response['response']): Response {
  return create(dfdaemon.DownloadTaskResponseSchema, {
    hostId: 'host',
    taskId: 'a'.repeat(64),
    peerId: 'peer',
    response,
  });
}

/** Cuts content into pieces, with or without their bytes. */
export function piecesOf(content: Buffer, pieceLength: number, withContent: boolean): common.Piece[] {
  return Array.from({ length: Math.ceil(content.length / pieceLength) }, (_, number) => {
    const bytes = content.subarray(number * pieceLength, (number + 1) * pieceLength);
    return create(common.PieceSchema, {
      number,
      offset: BigInt(number * pieceLength),
      length: BigInt(bytes.length),
      digest: pieceDigestOf(bytes),
      trafficType: number === 0 ? common.TrafficType.BACK_TO_SOURCE : common.TrafficType.REMOTE_PEER,
      ...(withContent ? { content: bytes } : {}),
    });
  });
}

/** Runs the program in this process. */
export async function run(
  argv: readonly string[],
  { signal = new AbortController().signal, isTTY = false }: { signal?: AbortSignal; isTTY?: boolean } = {},
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const stdout = new PassThrough();
  const stderr = Object.assign(new PassThrough(), { isTTY });
  const exitCode = await runDfget(argv, { stdout, stderr }, signal);
  const textOf = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { exitCode, stdout: textOf(stdout), stderr: textOf(stderr) };
}
