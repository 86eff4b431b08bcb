import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { anonymous, active } from '@d7y/peer-engine/conformance';
import { describe, expect, it } from '@jest/globals';
import { testClient } from './_origin-server.ts';

/** A client whose time passes with its waits alone. */
function clientInTime() {
  const waits: number[] = [];
  const time = { nowMs: 0 };
  const client = testClient({
    retry: {
      clock: () => time.nowMs,
      random: () => 0.999,
      wait: (ms) => {
        waits.push(ms);
        time.nowMs += ms;
        return Promise.resolve();
      },
    },
  });
  const probe = async (url: string): Promise<number> => {
    const startedAtMs = time.nowMs;
    await client.probe(anonymous(url), active()).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'ORIGIN_UNREACHABLE' });
    });
    return time.nowMs - startedAtMs;
  };
  return { client, time, waits, probe };
}

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('an origin that refuses connections', () => {
  it('is tried a few times within a second, then once while that is fresh, and in earnest again later', async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    const { client, time, waits, probe } = clientInTime();
    await using _client = client;
    const firstMs = await probe(`${url}/v2/app/blobs/sha256:1`);
    expect(firstMs).toBeGreaterThan(200);
    expect(firstMs).toBeLessThan(1_000);
    expect(await probe(`${url}/v2/app/blobs/sha256:2`)).toBe(0);
    expect(waits).toHaveLength(2);
    const other = await probe(`http://127.0.0.1:${await closedPort()}/x`);
    expect(other).toBeGreaterThan(200);
    time.nowMs += 10_000;
    expect(await probe(`${url}/v2/app/blobs/sha256:3`)).toBeGreaterThan(200);
  });

  it('is tried once for content, too, while its refusal is fresh, whichever request found out', async () => {
    const url = `http://127.0.0.1:${await closedPort()}/x`;
    const { client, waits, probe } = clientInTime();
    await using _client = client;
    const fetch = () => client.fetch(anonymous(url), undefined, active());
    await expect(fetch()).rejects.toMatchObject({ code: 'ORIGIN_UNREACHABLE' });
    expect(waits).toHaveLength(2);
    await expect(fetch()).rejects.toMatchObject({ code: 'ORIGIN_UNREACHABLE' });
    expect(await probe(url)).toBe(0);
    expect(waits).toHaveLength(2);
  });

  it('is forgiven as soon as it answers', async () => {
    const port = await closedPort();
    const url = `http://127.0.0.1:${port}/x`;
    const { client, probe, waits } = clientInTime();
    await using _client = client;
    await probe(url);
    const server = createServer((_request, response) => response.writeHead(404).end()).listen(port, '127.0.0.1');
    await once(server, 'listening');
    await expect(client.probe(anonymous(url), active())).rejects.toMatchObject({ status: 404 });
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    const before = waits.length;
    await probe(url);
    expect(waits.length).toBeGreaterThan(before);
  });
});
