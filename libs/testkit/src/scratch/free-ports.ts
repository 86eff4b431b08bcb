import { type AddressInfo, createServer, type Server } from 'node:net';

/** Ports handed out by this process; the system may offer one again as soon as it is closed. */
const taken = new Set<number>();

/**
 * Ports of 127.0.0.1 on which nobody listens, for programs that cannot choose one themselves. All are different, and no call of this
 * process gets one twice.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  try {
    while (ports.length < count) {
      const server = await listen();
      servers.push(server); // stays open until the end, so that the next one differs
      const { port } = server.address() as AddressInfo;
      if (taken.has(port)) continue;
      taken.add(port);
      ports.push(port);
    }
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
  return ports;
}

/** One free port. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

function listen(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}
