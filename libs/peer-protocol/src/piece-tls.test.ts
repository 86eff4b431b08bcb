import { describe, expect, it } from '@jest/globals';
import { content, createPool, KIB, logger, MemorySink, MemorySource, MIB, TASK_ID } from './_rig.ts';
import { CA_PEM, CERT_PEM, KEY_PEM } from './_tls.ts';
import { createPieceClient } from './piece-client.ts';
import { startPieceServer } from './piece-server.ts';
import type { TlsSource } from './tls-options.ts';

const signal = new AbortController().signal;
const IDENTITY = { ca: CA_PEM, cert: CERT_PEM, key: KEY_PEM, servername: 'scheduler.example' };
const BYTES = content(3 * MIB);

/** A parent with one piece. */
const start = (isSecure = true) =>
  startPieceServer({
    ...{ host: '127.0.0.1', port: 0, source: new MemorySource(4 * MIB, [BYTES]), bufferPool: createPool(), logger },
    tls: isSecure
      ? {
          current: { ca: Buffer.from(CA_PEM), cert: Buffer.from(CERT_PEM), key: Buffer.from(KEY_PEM) },
          onChange: () => ({ [Symbol.dispose]: () => undefined }),
        }
      : undefined,
    limits: { drainMs: 0 },
  });

async function fetchFrom(port: number, tls: TlsSource | undefined, delayWrite = false): Promise<Buffer> {
  const client = createPieceClient({ bufferPool: createPool(64 * KIB, 2), packetId: 1, tls });
  const sink = new MemorySink(0, BYTES.length);
  if (delayWrite) sink.gate = () => new Promise((resolve) => setImmediate(resolve));
  const where = { ip: '127.0.0.1', tcpPort: port, kind: 'standard', taskId: TASK_ID, number: 0 } as const;
  await client.fetchPiece({ ...where, expected: { offset: 0, length: BYTES.length } }, sink, { signal });
  return sink.bytes;
}

describe('pieces over TLS', () => {
  it('arrive whole, also where the disk is slower than the network', async () => {
    await using server = await start();
    expect((await fetchFrom(server.port, IDENTITY)).equals(BYTES)).toBe(true);
    expect((await fetchFrom(server.port, () => IDENTITY, true)).equals(BYTES)).toBe(true);
  });

  it.each<[string, TlsSource | undefined]>([
    ['that speaks without TLS', undefined],
    ['without a certificate', { ca: CA_PEM, servername: 'scheduler.example' }],
    ['that trusts another authority', { ...IDENTITY, ca: CERT_PEM }],
    ['that finds another name in the certificate', { ...IDENTITY, servername: 'other.example' }],
    ['that dials an address which is not in the certificate', { ...IDENTITY, servername: undefined }],
  ])('are not for a child %s', async (_what, tls) => {
    await using server = await start();
    await expect(fetchFrom(server.port, tls)).rejects.toMatchObject({ code: 'PIECE_TRANSFER' });
  });

  it('are not taken from a parent without TLS', async () => {
    await using server = await start(false);
    await expect(fetchFrom(server.port, IDENTITY)).rejects.toMatchObject({ code: 'PIECE_TRANSFER' });
  });
});
