import { once } from 'node:events';
import { createServer } from 'node:net';
import { describeSystemError, StartError } from '@d7y/service-kit';

/**
 * Finds a port that is taken before anything is started that would have to be stopped again.
 * @throws {StartError} names the first one that cannot be listened on
 */
export async function ensureFreePorts(host: string, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const server = createServer();
    try {
      server.listen(port, host);
      await once(server, 'listening');
    } catch (error) {
      throw new StartError(describeSystemError(error) ?? `port ${port}: ${String(error)}`, { cause: error });
    } finally {
      server.close();
    }
  }
}
