import { stat } from 'node:fs/promises';
import { ConnectError } from '@connectrpc/connect';
import { common, type dfdaemon } from '@d7y/api';
import { CliError, type Daemon } from '@d7y/cli-kit';
import { backendErrorOf } from '@d7y/peer-protocol';
import { PieceSet, pieceDigestOf } from '@d7y/piece';
import { describeSystemError, formatDurationMs, redactHeaders } from '@d7y/service-kit';
import { toDownloadMessage } from './download-message.ts';
import type { DownloadOptions } from './download-options.ts';
import { DownloadError } from './errors.ts';
import { PieceFile } from './piece-file.ts';

/** How far a download has come. */
export interface DownloadProgress {
  started(totalBytes: number): void;
  advanced(receivedBytes: number): void;
}

/** A download that has ended well. */
export interface DownloadResult {
  readonly taskId: string;
  readonly peerId: string;
  readonly hostId: string;
  readonly output: string;
  /** Bytes. */
  readonly contentLength: number;
  readonly pieceCount: number;
  /** Where the bytes came from: `local` were on this host before. */
  readonly bytes: { readonly fromSource: number; readonly fromPeers: number; readonly local: number };
}

/**
 * Has the daemon download a file, and follows it to the end.
 * @throws {DownloadError} or the reason of the signal
 */
export async function download(
  daemon: Daemon,
  options: DownloadOptions,
  progress: DownloadProgress,
  { signal }: { signal: AbortSignal },
): Promise<DownloadResult> {
  const deadline = new AbortController();
  const timer = setTimeout(
    () => {
      deadline.abort(
        new DownloadError(`not finished within ${formatDurationMs(options.timeoutMs)}`, {
          remedy: 'try again (what has been fetched is kept by the daemon), or give it more time with --timeout',
        }),
      );
    },
    Math.min(options.timeoutMs, 2 ** 31 - 1),
  );
  const either = AbortSignal.any([signal, deadline.signal]);
  try {
    return await follow(daemon, options, progress, either);
  } catch (error) {
    either.throwIfAborted(); // its reason says more than the call that broke off
    throw toDownloadError(error);
  } finally {
    clearTimeout(timer);
  }
}

async function follow(
  daemon: Daemon,
  options: DownloadOptions,
  progress: DownloadProgress,
  signal: AbortSignal,
): Promise<DownloadResult> {
  const { output, forceHardLink, overwrite, digest } = options;
  await using file = forceHardLink ? undefined : await PieceFile.create(output, digest);
  const received = new PieceSet();
  /** Pieces that the daemon had before. */
  const held = new PieceSet();
  const bytes = { fromSource: 0, fromPeers: 0, local: 0 };
  let receivedBytes = 0;
  let started: { readonly contentLength: number; readonly isFinished: boolean } | undefined;
  let ids = { taskId: '', peerId: '', hostId: '' };

  const take = async (piece: common.Piece | undefined, source: keyof typeof bytes): Promise<void> => {
    if (piece === undefined || received.has(piece.number)) return;
    const isListed = source === 'local';
    if (file !== undefined) {
      if (piece.content === undefined) return void (isListed && held.add(piece.number)); // its bytes come in a message of their own
      await file.write(Number(piece.offset), checkedContent(piece, started?.contentLength ?? 0));
    }
    received.add(piece.number);
    receivedBytes += Number(piece.length);
    bytes[held.has(piece.number) ? 'local' : source] += Number(piece.length);
    progress.advanced(receivedBytes);
  };

  for await (const message of daemon.client.downloadTask({ download: toDownloadMessage(options) }, { signal })) {
    ids = { taskId: message.taskId, peerId: message.peerId, hostId: message.hostId };
    const { response } = message;
    switch (response.case) {
      case 'downloadTaskStartedResponse': {
        started = { contentLength: Number(response.value.contentLength), isFinished: response.value.isFinished };
        progress.started(started.contentLength);
        for (const piece of response.value.pieces) await take(piece, 'local');
        break;
      }
      case 'downloadPieceFinishedResponse': {
        await take(response.value.piece, sourceOf(response.value));
        break;
      }
      case undefined:
        break; // a kind of message that came after us
    }
  }
  signal.throwIfAborted();
  const contentLength = started?.contentLength ?? 0;
  const isThere = file === undefined && (started?.isFinished === true || (await sizeOf(output)) === contentLength);
  if (started === undefined || (receivedBytes !== contentLength && !isThere)) {
    throw new DownloadError(`download incomplete: ${receivedBytes} of ${contentLength} bytes`, { remedy: 'try again' });
  }
  await file?.commit({ overwrite });
  return { ...ids, output, contentLength, pieceCount: received.size, bytes };
}

/** @throws {DownloadError} when the piece contradicts itself */
function checkedContent(piece: common.Piece, contentLength: number): Uint8Array {
  const { number, offset, length, digest, content = new Uint8Array() } = piece;
  if (BigInt(content.length) !== length || offset + length > BigInt(contentLength)) {
    throw new DownloadError(`piece ${number} from the daemon does not fit: ${content.length} bytes at ${offset}`);
  }
  if (digest.startsWith('crc32:') && digest !== pieceDigestOf(content)) {
    throw new DownloadError(`piece ${number} from the daemon is damaged: it should be ${digest}`, {
      remedy: 'try again',
    });
  }
  return content;
}

function sourceOf({ piece }: dfdaemon.DownloadPieceFinishedResponse): 'fromSource' | 'fromPeers' | 'local' {
  switch (piece?.trafficType) {
    case common.TrafficType.REMOTE_PEER:
      return 'fromPeers';
    case common.TrafficType.LOCAL_PEER:
      return 'local';
    case common.TrafficType.BACK_TO_SOURCE:
    case undefined:
    default: // a kind that came after us
      return 'fromSource';
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  return (await stat(file).catch(() => undefined))?.size;
}

/** What a call or the file system threw, in terms of the download. */
function toDownloadError(error: unknown): unknown {
  if (error instanceof CliError) return error;
  if (!(error instanceof ConnectError)) {
    const description = describeSystemError(error);
    return description === undefined ? error : new DownloadError(description, { cause: error });
  }
  const origin = backendErrorOf(error);
  if (origin === undefined) {
    return new DownloadError(`the dfdaemon gave up: ${error.rawMessage}`, {
      remedy: 'try again, or look at the log of the dfdaemon',
      cause: error,
    });
  }
  const { status, headers } = origin;
  return new DownloadError(`the origin refused: ${origin.message}`, {
    remedy: 'check the URL, and what the origin wants in --header',
    details: [
      ...(status === undefined ? [] : [`Bad Status Code: ${status}`]),
      ...Object.entries(redactHeaders(headers)).map(([name, value]) => `Header: ${name}: ${value}`),
    ],
    cause: error,
  });
}
