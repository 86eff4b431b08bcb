import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createHash, randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { dfdaemon, swarm } from '@d7y/api';
import {
  createSchedulerClient,
  type PeerRegistration,
  type SchedulerClient,
  startPieceServer,
  toHostMessage,
} from '@d7y/peer-protocol';
import { createLayout, hostIdOf, peerIdOf, pieceDigestOf, pieceRange, type TaskLayout } from '@d7y/piece';
import { AsyncQueue, BufferPool, createHealth, createLogger, delay, listen } from '@d7y/service-kit';

/**
 * How it fails its children: it takes calls and never answers; it names its pieces, but its piece server accepts and never
 * answers; its bytes do not match the digest it announces; its bytes match that digest, but are not those of the blob; it even vouches for
 * these; it sends 1 KB/s; it describes the piece and sends nothing of it; it hangs up in the middle of the piece. Or it does no wrong, but
 * like a stock daemon that relays says nothing by which its bytes could be verified.
 */
export type Misbehaviour =
  | 'mute'
  | 'silent'
  | 'otherDigest'
  | 'otherBlob'
  | 'falseVoucher'
  | 'trickling'
  | 'headerOnly'
  | 'cutting'
  | 'unvouched';

/** A blob that it pretends to hold. */
export interface OfferedBlob {
  readonly url: string;
  readonly digest: string;
  readonly size: number;
  /** What it serves; zeros unless given. */
  readonly content?: Buffer;
  /** Its last piece is held back until then. */
  readonly lastPieceAfter?: Promise<void>;
}

interface HeldBlob {
  readonly layout: TaskLayout;
  readonly content: Buffer;
  readonly lastPieceAfter: Promise<void> | undefined;
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
  const held = new Map<string, HeldBlob>();
  const asked = { forNews: 0, forPieces: 0 };
  const onAsked = (): void => void asked.forPieces++;
  const tcpPort =
    misbehaviour === 'silent'
      ? await startSilentServer(stack, onAsked)
      : await startLyingServer(stack, misbehaviour, held, onAsked);

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
            const blob = held.get(taskId);
            for (const number of blob === undefined ? [] : interestedPieceNumbers) {
              const { start, length } = pieceRange((blob as HeldBlob).layout, number);
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
  const link = misbehaviour === 'falseVoucher' ? await openLink(stack, scheduler, hostId) : undefined;
  const resources = stack.move();
  return {
    get askedForNews() {
      return asked.forNews;
    },
    get askedForPieces() {
      return asked.forPieces;
    },
    async offer({ url, digest, size, content, lastPieceAfter }) {
      const taskId = digest.slice('sha256:'.length);
      const blob = { layout: createLayout(size), content: content ?? Buffer.alloc(size), lastPieceAfter };
      const { layout } = blob;
      held.set(taskId, blob);
      await link?.vouch(vouchersFor(taskId, blob));
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

interface Link {
  /** Ends when the scheduler has it: a child that registers from now on hears of it first. */
  vouch(vouchers: swarm.Vouch): Promise<void>;
}

/** A link with the scheduler, as a daemon of ours has it; stays open. */
async function openLink(stack: AsyncDisposableStack, scheduler: SchedulerClient, hostId: string): Promise<Link> {
  const requests = new AsyncQueue<swarm.LinkRequest>(100);
  const ended = stack.adopt(new AbortController(), (controller) => controller.abort());
  const say = (request: swarm.LinkRequest['request']): void =>
    void requests.push(create(swarm.LinkRequestSchema, { request }));
  say({ case: 'open', value: create(swarm.LinkOpenSchema, { hostId, version: 'test' }) });
  const answers = scheduler.openLink(requests, { signal: ended.signal })[Symbol.asyncIterator]();
  await answers.next();
  return {
    async vouch(vouchers) {
      say({ case: 'vouch', value: vouchers });
      // A scheduler takes what is said in turn, so that its answer to a question says that it has heard what came before.
      say({
        case: 'findTag',
        value: create(swarm.FindTagSchema, { requestId: 1n, registry: 'r', repository: 'r', tag: 't' }),
      });
      for (;;) {
        const answer: IteratorResult<swarm.LinkResponse, unknown> = await answers.next();
        if (answer.done === true) throw new Error('the scheduler ended the link');
        if (answer.value.response.case === 'tagAnswer') return;
      }
    },
  };
}

function vouchersFor(taskId: string, { layout, content }: HeldBlob): swarm.Vouch {
  const vouchers = Array.from({ length: layout.pieceCount }, (_, pieceNumber) => {
    const { start, length } = pieceRange(layout, pieceNumber);
    const sha256 = createHash('sha256')
      .update(content.subarray(start, start + length))
      .digest();
    return create(swarm.PieceVoucherSchema, { pieceNumber, sha256 });
  });
  const grid = { contentLength: BigInt(layout.contentLength), pieceLength: BigInt(layout.pieceLength) };
  return create(swarm.VouchSchema, { taskId, ...grid, vouchers });
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

/** Serves what it holds, with digests that are its own or are not. */
async function startLyingServer(
  stack: AsyncDisposableStack,
  misbehaviour: Misbehaviour,
  held: ReadonlyMap<string, HeldBlob>,
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
          const blob = held.get(taskId);
          if (blob === undefined) return Promise.resolve(undefined);
          onAsked();
          const { start, length } = pieceRange(blob.layout, number);
          const content = blob.content.subarray(start, start + length);
          return Promise.resolve({
            ...{ number, offset: start, length, parentId: '', costMs: 1, createdAtMs: Date.now() },
            digest: misbehaviour === 'otherDigest' ? 'crc32:1' : pieceDigestOf(content),
            read: async (from: number, target: Uint8Array) => {
              if (number === blob.layout.pieceCount - 1) await blob.lastPieceAfter;
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
