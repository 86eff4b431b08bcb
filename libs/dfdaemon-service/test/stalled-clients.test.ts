import { Socket } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { blobPath, contentOf, DaemonFarm, get, sha256, startOrigin } from './_cluster.ts';

const CONTENT = contentOf('stalled', 16 * 2 ** 20);
const STALLED_CLIENTS = 200;

/** A client that asks and never reads. */
async function askAndStall(port: number, path: string): Promise<Disposable> {
  const socket = new Socket();
  socket.pause();
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.connect(port, '127.0.0.1', resolve));
  socket.write(`GET ${path} HTTP/1.1\r\nhost: proxy\r\n\r\n`);
  return { [Symbol.dispose]: () => socket.destroy() };
}

describe('clients that never read', () => {
  it('do not keep one that does from its bytes, however few buffers there are', async () => {
    await using origin = await startOrigin(new Map([[blobPath(CONTENT), CONTENT]]));
    await using farm = await DaemonFarm.create();
    // The fewest buffers that a daemon has: eight of either size.
    const memory = { bufferBytes: 2 ** 20 };
    const daemon = await farm.start('a', { memory }, { stall: { patienceMs: 100, stalledMs: 500 } });
    const path = `${blobPath(CONTENT)}?ns=${origin.authority}`;
    await get({ port: daemon.ports.proxy }, path);
    using clients = new DisposableStack();
    for (let client = 0; client < STALLED_CLIENTS; client++) {
      clients.use(await askAndStall(daemon.ports.proxy, path));
    }
    const answer = await get({ port: daemon.ports.proxy }, path);
    expect(sha256(answer.body)).toBe(sha256(CONTENT));
    expect(farm.log.lines.join('')).toContain('a reader that takes nothing is cut off');
    expect(origin.sentBytes).toBe(CONTENT.length);
  }, 60_000);
});
