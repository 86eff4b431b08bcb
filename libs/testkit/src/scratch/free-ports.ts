import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/**
 * Where ports are chosen: below those that systems give to outgoing connections by themselves, one of which would else have the port of a
 * program that is down for a moment.
 */
const FIRST_PORT = 27_500;
const END_PORT = 32_700;
/** Ports that are tried for each one that is asked for. */
const MAX_TRIES = 200;

/** Ports handed out by this process: programs may not listen on them yet, or be down for a moment. */
const taken = new Set<number>();

/**
 * Ports of 127.0.0.1 on which nobody listens, for programs that cannot choose one themselves, and that have to find it free when they
 * start again. All are different, and no call of this process gets one twice. Chosen at random, so that processes do not meet.
 * @throws there is no free port
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  try {
    for (let tries = 0; ports.length < count; tries++) {
      if (tries >= count * MAX_TRIES) throw new Error(`there are no ${count} free ports from ${FIRST_PORT}`);
      const port = randomInt(FIRST_PORT, END_PORT);
      if (taken.has(port)) continue;
      const server = await listen(port);
      if (server === undefined) continue;
      servers.push(server); // stays open until the end, so that another process does not choose it meanwhile
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

/** @returns undefined when somebody listens there */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
