import { isIP } from 'node:net';
import { Code, createClient } from '@connectrpc/connect';
import { dfdaemon, health, swarm } from '@d7y/api';
import { linkedSignal } from '@d7y/service-kit';
import { InvalidAnnouncementError, ParentSilentError, ParentWithoutPiecePortError } from './errors.ts';
import type { GrpcConnectionOptions } from './grpc-connection.ts';
import { addressOf, createGrpcConnection } from './grpc-connection.ts';
import { isServing } from './health-check.ts';
import { Greeting } from './hello.ts';
import { isPort } from './parent-offer.ts';
import { PIECE_KEEPALIVE } from './piece-transfer.ts';
import { PIECE_TURNS } from './turn-client.ts';
import type { ParentClient, ParentClientPool, PieceAnnouncement } from './parent.ts';
import { RpcError } from './rpc-error.ts';
import { UNARY_TIMEOUT_MS } from './scheduler-client.ts';
import { streamCall, unaryCall } from './unary-call.ts';
import { parseVouchers } from './voucher-message.ts';

export interface ParentClientOptions extends GrpcConnectionOptions {
  /** Ours, as announced. */
  readonly hostId: string;
  /** Version of this program, told to daemons of ours. */
  readonly version: string;
  readonly features?: readonly string[] | undefined;
  readonly unaryTimeoutMs?: number | undefined;
  /** How long a parent may take to answer SyncPieces at all; its first piece may come much later. */
  readonly syncHeaderTimeoutMs?: number | undefined;
}

export interface ParentClientPoolOptions extends ParentClientOptions {
  /** Addresses that are remembered; the one unused for longest makes room. */
  readonly maxParents?: number | undefined;
}

/** Parents come and go with tasks, so their connections are kept for a shorter time than those to schedulers. */
const PARENT_IDLE_TIMEOUT_MS = 60_000;
/** A parent that is silent although its host is gone must show before a pull suffers; daemons allow frequent pings. */
const PARENT_PING_INTERVAL_MS = 15_000;
const PARENT_PING_TIMEOUT_MS = 5_000;
/** Daemons open the stream at once, whether or not they have a piece to name. */
const SYNC_HEADER_TIMEOUT_MS = 5_000;
const MAX_PARENTS = 2_000;
/** How long the first piece may wait for the parent's answer to Hello, once it was named. */
const FEATURES_WAIT_MS = 200;
/** How long it is remembered what a parent can. */
const FEATURES_AGE_MS = 60_000;

/** Prepares a client of one daemon's upload gRPC; nothing is dialled before the first call. */
export function createParentClient(
  address: { readonly ip: string; readonly port: number },
  options: ParentClientOptions,
): ParentClient & Disposable {
  const connection = createGrpcConnection(
    { host: address.ip, port: address.port },
    {
      ...options,
      idleTimeoutMs: options.idleTimeoutMs ?? PARENT_IDLE_TIMEOUT_MS,
      pingIntervalMs: options.pingIntervalMs ?? PARENT_PING_INTERVAL_MS,
      pingTimeoutMs: options.pingTimeoutMs ?? PARENT_PING_TIMEOUT_MS,
    },
  );
  const { address: name, transport } = connection;
  const client = createClient(dfdaemon.DfdaemonUpload, transport);
  const healthClient = createClient(health.Health, transport);
  const swarmClient = createClient(swarm.SwarmService, transport);
  const greeting = new Greeting(swarmClient, {
    instanceId: options.hostId,
    version: options.version,
    features: options.features ?? [],
  });
  const hello = ({ signal }: { signal: AbortSignal }) =>
    unaryCall(name, 'Hello', { signal, timeoutMs: options.unaryTimeoutMs ?? UNARY_TIMEOUT_MS }, (call) =>
      greeting.exchange(call),
    );
  /** With TLS pieces are fetched over TLS or not at all. Asked every time: a parent may have been restarted on another port. */
  const askTlsPort = async (callOptions: { signal: AbortSignal }): Promise<number> => {
    const port = (await hello(callOptions))?.pieceTlsPort;
    if (port === undefined) throw new ParentWithoutPiecePortError(name);
    return port;
  };
  let known: { readonly abilities: PieceServerAbilities; readonly atMs: number } | undefined;
  /** What its piece server can beyond the published protocol; a parent that does not say so in time serves one piece over each connection. */
  const askAbilities = async (callOptions: { signal: AbortSignal }): Promise<PieceServerAbilities> => {
    if (known !== undefined && performance.now() - known.atMs < FEATURES_AGE_MS) return known.abilities;
    const features = (await hello(callOptions))?.features ?? [];
    const abilities = { keepsAlive: features.includes(PIECE_KEEPALIVE), takesTurns: features.includes(PIECE_TURNS) };
    known = { abilities, atMs: performance.now() };
    return abilities;
  };
  return {
    address: name,
    async *syncPieces({ taskId, hostId, interested }, callOptions) {
      const wanted = new Set(interested);
      const request = { taskId, hostId, interestedPieceNumbers: [...wanted] };
      using call = linkedSignal(callOptions.signal);
      const timeoutMs = options.syncHeaderTimeoutMs ?? SYNC_HEADER_TIMEOUT_MS;
      const silence = setTimeout(() => call.abort(new ParentSilentError(name, timeoutMs)), timeoutMs);
      const onHeader = () => {
        clearTimeout(silence);
        callOptions.onAnswer?.();
      };
      const tlsPort = options.tls === undefined ? undefined : askTlsPort(call);
      tlsPort?.catch(() => undefined); // heard when the first piece is named
      const asked = askAbilities(call);
      asked.catch(() => undefined); // looked at with each piece
      let abilities: PieceServerAbilities | undefined;
      let hasWaited = false;
      asked.then(
        (answer) => (abilities = answer),
        () => (abilities = NO_ABILITIES),
      );
      try {
        for await (const response of streamCall(name, 'SyncPieces', call, ({ signal }) =>
          client.syncPieces(request, { signal, onHeader }),
        )) {
          if (wanted.delete(response.number)) {
            const announcement = parseAnnouncement(name, response, await tlsPort);
            // Counted from the first piece: before it nobody waits. What comes later counts for later pieces.
            if (abilities === undefined && !hasWaited) await within(asked, FEATURES_WAIT_MS);
            hasWaited = true;
            yield { ...announcement, ...(abilities ?? NO_ABILITIES) };
          }
        }
      } finally {
        clearTimeout(silence);
      }
    },
    syncHost: (request, callOptions) =>
      streamCall(name, 'SyncHost', callOptions, (call) => client.syncHost(request, call)),
    downloadTask: (download, callOptions) =>
      streamCall(name, 'DownloadTask', callOptions, (call) => client.downloadTask({ download }, call)),
    checkHealth: (callOptions) => isServing(healthClient, callOptions),
    hello,
    async *followVouchers(taskId, callOptions) {
      const batches = streamCall(name, 'FollowVouchers', callOptions, (call) =>
        swarmClient.followVouchers({ taskId }, call),
      );
      try {
        for await (const message of batches) {
          const batch = parseVouchers(message, '');
          if (batch === undefined) throw new InvalidAnnouncementError(name, 'vouchers that cannot be');
          yield batch;
        }
      } catch (error) {
        if (error instanceof RpcError && error.status === Code.Unimplemented) return;
        throw error;
      }
    },
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}

/** What the published protocol does not know. */
interface PieceServerAbilities {
  readonly keepsAlive: boolean;
  readonly takesTurns: boolean;
}

const NO_ABILITIES: PieceServerAbilities = { keepsAlive: false, takesTurns: false };

/** Waits for an answer, or until it is late. Never rejects. */
async function within(answer: Promise<unknown>, timeoutMs: number): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, timeoutMs);
  await Promise.race([answer.catch(() => undefined), late.promise]);
  clearTimeout(timer);
}

/** Clients of parents by address. Owns their connections. */
export function createParentClientPool(options: ParentClientPoolOptions): ParentClientPool {
  const maxParents = options.maxParents ?? MAX_PARENTS;
  /** In the order of last use; a client without calls holds no connection for long. */
  const clients = new Map<string, ParentClient & Disposable>();
  return {
    at(address) {
      const name = addressOf({ host: address.ip, port: address.port });
      const client = clients.get(name) ?? createParentClient(address, options);
      clients.delete(name);
      clients.set(name, client);
      // A client that makes room lives on with those who hold it, and closes its connection when that is idle.
      if (clients.size > maxParents) clients.delete(clients.keys().next().value ?? '');
      return client;
    },
    [Symbol.asyncDispose]() {
      for (const client of clients.values()) client[Symbol.dispose]();
      clients.clear();
      return Promise.resolve();
    },
  };
}

/** @param tlsPort where pieces are served over TLS, for children that want no other */
function parseAnnouncement(
  parent: string,
  response: dfdaemon.SyncPiecesResponse,
  tlsPort: number | undefined,
): PieceAnnouncement {
  const { number, ip } = response;
  const tcpPort = tlsPort ?? response.tcpPort;
  const offset = Number(response.offset);
  const length = Number(response.length);
  if (!Number.isSafeInteger(offset + length)) {
    throw new InvalidAnnouncementError(parent, `${response.length} bytes at ${response.offset}`);
  }
  if (isIP(ip) === 0) throw new InvalidAnnouncementError(parent, `the address "${ip}"`);
  if (tcpPort === undefined || tcpPort === 0) throw new ParentWithoutPiecePortError(parent);
  if (!isPort(tcpPort)) throw new InvalidAnnouncementError(parent, `the port ${tcpPort}`);
  return { number, offset, length, ip, tcpPort };
}
