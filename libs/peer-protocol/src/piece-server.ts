import { once } from 'node:events';
import * as net from 'node:net';
import * as tls from 'node:tls';
import type { BufferPool, ByteLimiter, Logger, TlsIdentity } from '@d7y/service-kit';
import { LinkUse } from '@d7y/swarm';
import type { PieceSource } from './piece-transfer.ts';
import { PieceServerConnection } from './piece-server-connection.ts';
import { TurnDesk } from './turn-desk.ts';
import { UploadSlots } from './upload-slots.ts';

/** Bounds of a piece server. */
export interface PieceServerLimits {
  /** Connections above this are closed at once. */
  readonly maxConnections: number;
  /** Pieces that begin together: those that come later wait until one of them was sent, or had `uploadTurnMs`. */
  readonly concurrentUploads: number;
  readonly uploadTurnMs: number;
  /** Pieces of at most so many bytes wait for nobody. */
  readonly smallPieceBytes: number;
  /** Pieces that are sent at the same time in all; each takes one buffer. */
  readonly maxUploads: number;
  /** Requests that wait for their turn; those above are answered with an error. */
  readonly maxQueuedUploads: number;
  /** From the end of an upload to the whole next request, while there are few connections; then closed. */
  readonly keepAliveMs: number;
  /** From connecting to the last byte of the request. */
  readonly requestTimeoutMs: number;
  /** For a piece that is being downloaded right now, and for a turn. */
  readonly pieceWaitTimeoutMs: number;
  /** Without a single byte taken by the child. */
  readonly sendStallTimeoutMs: number;
  /** An offer holds a turn for so long at most. */
  readonly turnOfferMs: number;
  /** While pieces leave, children that wait for offers hear so often that it is so: a few times while they wait for an answer. */
  readonly turnBeatMs: number;
  /** Nothing said of turns, by neither side: closed. */
  readonly turnSilenceMs: number;
  /** From our last byte to the child's goodbye. */
  readonly closeTimeoutMs: number;
  /** How long running uploads may go on when the server is disposed. */
  readonly drainMs: number;
}

export const PIECE_SERVER_LIMITS: PieceServerLimits = {
  maxConnections: 2048,
  concurrentUploads: 4,
  uploadTurnMs: 2_000,
  smallPieceBytes: 512 * 1024,
  maxUploads: 64,
  maxQueuedUploads: 1024,
  keepAliveMs: 10_000,
  requestTimeoutMs: 10_000,
  pieceWaitTimeoutMs: 360_000, // as long as stock children wait
  sendStallTimeoutMs: 30_000,
  turnOfferMs: 1_000,
  turnBeatMs: 3_000,
  turnSilenceMs: 120_000,
  closeTimeoutMs: 5_000,
  drainMs: 5_000,
};

export interface PieceServerOptions {
  readonly host: string;
  /** 0 for any. */
  readonly port: number;
  readonly source: PieceSource;
  readonly bufferPool: BufferPool;
  /** Drawn on for each chunk that is sent. */
  readonly limiter?: ByteLimiter | undefined;
  /** Speaks TLS, and only with children whose certificate it trusts. */
  readonly tls?: Pick<TlsIdentity, 'current' | 'onChange'> | undefined;
  readonly limits?: Partial<PieceServerLimits> | undefined;
  /** Whether this host has pieces of the task that nobody else has; none, unless given. */
  readonly isFresh?: ((taskId: string) => boolean) | undefined;
  readonly logger: Logger;
}

/** A running piece server; disposing it lets running uploads finish for a while. */
export interface PieceServer extends AsyncDisposable {
  readonly port: number;
  /** Connections and uploads at this moment. */
  load(): { readonly connections: number; readonly uploads: number };
}

const KEEPALIVE_MS = 5_000;
/** So long after its last bytes a host still counts as sending, in ms. */
const SENDING_MS = 5_000;
const BACKLOG = 1024;

/** Serves pieces over TCP. @throws Node's error when it cannot listen */
export async function startPieceServer(options: PieceServerOptions): Promise<PieceServer> {
  const limits = { ...PIECE_SERVER_LIMITS, ...options.limits };
  const link = new LinkUse();
  const slots = new UploadSlots({
    use: () => link.use(performance.now()),
    maxTurns: limits.concurrentUploads,
    turnMs: limits.uploadTurnMs,
    maxRunning: limits.maxUploads,
    maxWaiting: limits.maxQueuedUploads,
  });
  let sentAtMs = -Infinity;
  const turns = new TurnDesk({
    slots,
    isFresh: options.isFresh ?? (() => false),
    isSending: () => performance.now() - sentAtMs < SENDING_MS,
    offerMs: limits.turnOfferMs,
    beatMs: limits.turnBeatMs,
  });
  const onSent = (bytes: number): void => {
    sentAtMs = performance.now();
    link.moved(bytes, sentAtMs);
  };
  const connections = new Map<PieceServerConnection, Promise<void>>();
  // Idle connections leave half of the places to children that come anew.
  let isDraining = false;
  const mayKeep = (): boolean => !isDraining && connections.size <= limits.maxConnections / 2;
  // Children half-close when they have the description of the piece: without allowHalfOpen Node would cut the piece off.
  const settings = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS };
  const server = createServer(settings, options, limits, (socket) => {
    const connection = new PieceServerConnection(socket, {
      ...{ ...options, limits, slots, turns, onSent, mayKeep },
    });
    const served = connection.serve().finally(() => connections.delete(connection));
    connections.set(connection, served);
  });
  server.maxConnections = limits.maxConnections;
  server.listen({ host: options.host, port: options.port, backlog: BACKLOG });
  await once(server, 'listening');
  server.on('error', (error) => options.logger.error({ err: error }, 'the piece server cannot accept connections'));
  const { port } = server.address() as net.AddressInfo;

  return {
    port,
    load: () => ({ connections: connections.size, uploads: slots.running }),
    async [Symbol.asyncDispose]() {
      isDraining = true;
      server.close();
      for (const connection of connections.keys()) connection.drain();
      const timer = setTimeout(() => {
        for (const connection of connections.keys()) connection.destroy();
      }, limits.drainMs);
      await Promise.all(connections.values());
      clearTimeout(timer);
      turns[Symbol.dispose]();
    },
  };
}

function createServer(
  settings: net.ServerOpts,
  { tls: identity, logger }: PieceServerOptions,
  limits: PieceServerLimits,
  onConnection: (socket: net.Socket) => void,
): net.Server {
  if (identity === undefined) return net.createServer(settings, onConnection);
  const verify = { requestCert: true, rejectUnauthorized: true, handshakeTimeout: limits.requestTimeoutMs };
  const server = tls.createServer({ ...settings, ...identity.current, ...verify }, onConnection);
  server.on('tlsClientError', (error, socket) => {
    logger.debug({ child: socket.remoteAddress, err: error }, 'a child without a certificate that is trusted');
  });
  const renewal = identity.onChange((material) => server.setSecureContext(material));
  server.once('close', () => renewal[Symbol.dispose]());
  return server;
}
