import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { flipBit } from './flip-bit.ts';

/** What happens to bytes on their way from the upstream to the client; the other direction always passes. */
export type TcpFault =
  | { readonly kind: 'pass' }
  /** Each chunk comes later by so much. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** The connection is reset after so many bytes; 0 resets it when it is accepted. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Nothing more comes after so many bytes, and the connection stays open; 0 accepts and never answers. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** One bit of this byte of each connection is flipped. */
  | { readonly kind: 'corrupt'; readonly atByte: number };

/** Forwards TCP connections and spoils them. */
export interface TcpFaultProxy extends AsyncDisposable {
  readonly port: number;
  /** In force for connections from now on, and for the rest of those that are open. */
  fault: TcpFault;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Bytes passed on to clients so far. */
  readonly sentBytes: number;
}

/** Starts a proxy to a TCP port of loopback. */
export async function startTcpFaultProxy(upstream: { port: number; host?: string }): Promise<TcpFaultProxy> {
  const { port: upstreamPort, host = '127.0.0.1' } = upstream;
  const sockets = new Set<Socket>();
  const state = { fault: { kind: 'pass' } as TcpFault, connections: 0, sentBytes: 0 };

  const server = createServer({ noDelay: true }, (client) => {
    state.connections++;
    const server = connect({ port: upstreamPort, host, noDelay: true });
    const both = [client, server];
    for (const socket of both) {
      sockets.add(socket);
      socket.on('error', () => undefined); // a cut connection is what this is for
      socket.on('close', () => {
        sockets.delete(socket);
        for (const other of both) other.destroy();
      });
    }
    client.pipe(server);
    if (state.fault.kind === 'cut' && state.fault.afterBytes === 0) client.resetAndDestroy();
    else relay(server, client, state).catch(() => client.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });

  return {
    port: (server.address() as AddressInfo).port,
    get fault() {
      return state.fault;
    },
    set fault(fault) {
      state.fault = fault;
    },
    get connections() {
      return state.connections;
    },
    get sentBytes() {
      return state.sentBytes;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function relay(server: Socket, client: Socket, state: { fault: TcpFault; sentBytes: number }): Promise<void> {
  let sent = 0;
  for await (const chunk of server as AsyncIterable<Buffer>) {
    const { fault } = state;
    let bytes = chunk;
    switch (fault.kind) {
      case 'pass':
        break;
      case 'delay':
        await delay(fault.ms);
        break;
      case 'cut':
      case 'stall':
        bytes = chunk.subarray(0, Math.max(0, fault.afterBytes - sent));
        break;
      case 'corrupt':
        bytes = flipBit(chunk, fault.atByte - sent);
        break;
      default:
        fault satisfies never;
    }
    sent += bytes.length;
    state.sentBytes += bytes.length;
    if (bytes.length > 0 && !client.write(bytes)) await drained(client);
    if (bytes.length === chunk.length) continue;
    if (fault.kind === 'cut') {
      client.resetAndDestroy();
      return;
    }
    return void (await closed(client)); // stalled: holds both ends open until one of them leaves
  }
  client.end();
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', resolve).once('close', resolve);
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => (socket.destroyed ? resolve() : void socket.once('close', () => resolve())));
}
