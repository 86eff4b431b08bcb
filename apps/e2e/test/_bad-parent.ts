import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { dfdaemon } from '@d7y/api';
import { createSchedulerClient, type PeerRegistration, startPieceServer, toHostMessage } from '@d7y/peer-protocol';
import { createLayout, hostIdOf, peerIdOf, pieceDigestOf, pieceRange, type TaskLayout } from '@d7y/piece';
import { BufferPool, createHealth, createLogger, delay, listen } from '@d7y/service-kit';

/**
 * How it fails its children: it takes calls and never answers; it names its pieces, but its piece server accepts and never
 * answers; its bytes do not match the digest it announces; its bytes match that digest, but are not those of the blob; it sends 1 KB/s; it
 * describes the piece and sends nothing of it; it hangs up in the middle of the piece.
 */
export type Misbehaviour = 'mute' | 'silent' | 'otherDigest' | 'otherBlob' | 'trickling' | 'headerOnly' | 'cutting';

/** A blob that it pretends to hold. */
export interface OfferedBlob {
  readonly url: string;
  readonly digest: string;
  readonly size: number;
}

export interface BadParent extends AsyncDisposable {
  /** Times that it was asked which pieces it has. */
  readonly askedForNews: number;
  /** Times that it was asked for a piece. */
  readonly askedForPieces: number;
  /** Announces itself to the scheduler as a peer that holds the blob. */
  offer(blob: OfferedBlob): Promise<void>;
}

const signal = new AbortController().signal;

/** A daemon that speaks the whole protocol and gives nothing good. */
export async function startBadParent(schedulerPort: number, misbehaviour: Misbehaviour): Promise<BadParent> {
  await using stack = new AsyncDisposableStack();
  const logger = createLogger({ name: 'bad-parent', level: 'silent' });
  const identity = { ip: '127.0.0.1', hostname: `bad-${misbehaviour}`, isSeed: false };
  const hostId = hostIdOf(identity);
  const layouts = new Map<string, TaskLayout>();
  const asked = { forNews: 0, forPieces: 0 };
  const onAsked = (): void => void asked.forPieces++;
  const tcpPort =
    misbehaviour === 'silent'
      ? await startSilentServer(stack, onAsked)
      : await startLyingServer(stack, misbehaviour, layouts, onAsked);

  const health = createHealth();
  const upload = stack.use(
    await listen({
      host: '127.0.0.1',
      port: 0,
      logger,
      health,
      grpc: (router) =>
        void router.service(dfdaemon.DfdaemonUpload, {
          async *syncPieces({ taskId, interestedPieceNumbers }, { signal: left }) {
            asked.forNews++;
            if (misbehaviour === 'mute') return void (await once(left, 'abort'));
            const layout = layouts.get(taskId);
            for (const number of layout === undefined ? [] : interestedPieceNumbers) {
              const { start, length } = pieceRange(layout as TaskLayout, number);
              yield create(dfdaemon.SyncPiecesResponseSchema, {
                ...{ number, ip: '127.0.0.1', tcpPort },
                offset: BigInt(start),
                length: BigInt(length),
              });
            }
          },
        }),
    }),
  );
  const scheduler = stack.use(
    createSchedulerClient({ address: { host: '127.0.0.1', port: schedulerPort }, hostId, version: 'test', logger }),
  );
  await scheduler.hello({ signal });
  const host = toHostMessage({ ...identity, id: hostId, port: upload.port, downloadPort: upload.port });
  await scheduler.announceHost(host, 300_000, { signal });
  const resources = stack.move();
  return {
    get askedForNews() {
      return asked.forNews;
    },
    get askedForPieces() {
      return asked.forPieces;
    },
    async offer({ url, digest, size }) {
      const taskId = digest.slice('sha256:'.length);
      const layout = createLayout(size);
      layouts.set(taskId, layout);
      const peerId = peerIdOf(identity, randomUUID());
      const announcement = scheduler.announcePeer(registration({ hostId, taskId, peerId, url, digest, layout }), {
        signal,
      });
      for await (const instruction of announcement.instructions) {
        if (instruction.kind !== 'metadataOnly') throw new Error(`the scheduler says ${instruction.kind}`);
        announcement.started();
        return await announcement.finished(layout.contentLength, layout.pieceCount);
      }
      throw new Error('the scheduler says nothing');
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Accepts connections, takes what comes, and says nothing. */
async function startSilentServer(stack: AsyncDisposableStack, onAsked: () => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('data', onAsked);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Serves zeros for every piece, with a digest that is theirs or is not. */
async function startLyingServer(
  stack: AsyncDisposableStack,
  misbehaviour: Misbehaviour,
  layouts: ReadonlyMap<string, TaskLayout>,
  onAsked: () => void,
): Promise<number> {
  const stopped = new AbortController();
  const server = stack.use(
    await startPieceServer({
      host: '127.0.0.1',
      port: 0,
      bufferPool: new BufferPool({ bufferBytes: 256 * 1024, maxBuffers: 16 }),
      logger: createLogger({ name: 'bad-parent', level: 'silent' }),
      source: {
        openPiece: (_kind, taskId, number) => {
          const layout = layouts.get(taskId);
          if (layout === undefined) return Promise.resolve(undefined);
          onAsked();
          const { start, length } = pieceRange(layout, number);
          const content = Buffer.alloc(length);
          return Promise.resolve({
            ...{ number, offset: start, length, parentId: '', costMs: 1, createdAtMs: Date.now() },
            digest: misbehaviour === 'otherDigest' ? 'crc32:1' : pieceDigestOf(content),
            read: async (from: number, target: Uint8Array) => {
              // The description of a piece leaves with its first bytes.
              if (misbehaviour === 'headerOnly' && from > 0)
                await delay(600_000, { signal: stopped.signal, unref: true });
              if (misbehaviour === 'headerOnly') return 1;
              if (misbehaviour === 'cutting' && from >= length / 2) throw new Error('enough');
              if (misbehaviour === 'trickling') {
                await delay(1_000, { signal: stopped.signal, unref: true });
                return Math.min(target.length, 1_000);
              }
              const part = content.subarray(from, from + target.length);
              target.set(part);
              return part.length;
            },
            close: () => undefined,
          });
        },
      },
    }),
  );
  stack.defer(() => stopped.abort());
  return server.port;
}

function registration(known: {
  hostId: string;
  taskId: string;
  peerId: string;
  url: string;
  digest: string;
  layout: TaskLayout;
}): PeerRegistration {
  const { layout, ...ids } = known;
  return {
    ...ids,
    tag: undefined,
    application: undefined,
    filteredQueryParams: [],
    requestHeaders: {},
    requestedPieceLength: undefined,
    priority: 6,
    range: undefined,
    contentLength: layout.contentLength,
    pieceLength: layout.pieceLength,
    needBackToSource: false,
    metadataOnly: true,
    concurrentPieceCount: 8,
    contentForCalculatingTaskId: undefined,
    enableTaskIdBasedBlobDigest: true,
  };
}
