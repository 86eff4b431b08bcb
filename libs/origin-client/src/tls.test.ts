import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { active, anonymous, pattern } from '@d7y/peer-engine/conformance';
import { makeAuthority } from './_authority.ts';
import { serveContent, startServer, testClient } from './_origin-server.ts';

const bytes = pattern(1, 1000);
const MANY_READS = pattern(2, 24 * 2 ** 20);

describe('TLS to an origin', () => {
  const { ca, own } = makeAuthority();

  const start = (hostname?: string, content = bytes) =>
    startServer((request, response) => serveContent({ bytes: content }, request, response), {
      ...own,
      ...(hostname !== undefined && { hostname }),
    });

  it('weakness 4: is verified, and what cannot be verified is refused at once', async () => {
    await using server = await start();
    await using client = testClient();
    const failure = client.probe(anonymous(server.url), active());
    await expect(failure).rejects.toMatchObject({
      code: 'ORIGIN_UNREACHABLE',
      message: expect.stringContaining('its certificate is not trusted'),
    });
    expect(client.waits).toEqual([]);
    expect(server.requests).toHaveLength(0);
  });

  it('loses nothing of a body that comes faster than it is read', async () => {
    await using server = await start(undefined, MANY_READS);
    await using client = testClient({ tls: { [new URL(server.url).host]: { ca } } });
    const hash = createHash('sha256');
    const { chunks } = await client.fetch(anonymous(server.url), undefined, active());
    for await (const chunk of chunks) {
      hash.update(chunk);
      // The connection has all the time to bring more than what is wanted.
      for (let turn = 0; turn < 20; turn++) await nextTurn();
    }
    expect(hash.digest('hex')).toBe(createHash('sha256').update(MANY_READS).digest('hex'));
    expect(server.requests).toHaveLength(1);
  });

  it('trusts the authority named for a host, for that host alone', async () => {
    await using server = await start();
    await using other = await start();
    await using client = testClient({ tls: { [new URL(server.url).host]: { ca } } });
    await expect(client.probe(anonymous(server.url), active())).resolves.toMatchObject({ contentLength: 1000 });
    await expect(client.probe(anonymous(other.url), active())).rejects.toThrow('not trusted');
  });

  it('still wants the name to match', async () => {
    await using server = await start('localhost');
    await using client = testClient({ tls: { localhost: { ca } } });
    await expect(client.probe(anonymous(server.url), active())).rejects.toThrow('not trusted');
  });

  it('is not verified for a host that is named insecure, and only there', async () => {
    await using server = await start();
    await using other = await start();
    await using client = testClient({ tls: { [new URL(server.url).host]: { insecure: true } } });
    await expect(client.probe(anonymous(server.url), active())).resolves.toBeDefined();
    await expect(client.probe(anonymous(other.url), active())).rejects.toThrow('not trusted');
  });

  it('is not left for plain http with credentials', async () => {
    await using plain = await startServer((request, response) => serveContent({ bytes }, request, response));
    await using server = await startServer(
      (_request, response) => void response.writeHead(302, { location: plain.url }).end(),
      own,
    );
    await using client = testClient({ tls: { '127.0.0.1': { ca } } });
    const credentials = { authorization: new Secret('Basic planted') };
    const failure = client.probe({ ...anonymous(server.url), credentials }, active());
    await expect(failure).rejects.toThrow('redirected from https to http');
    expect(plain.requests).toHaveLength(0);
    await expect(client.probe(anonymous(server.url), active())).resolves.toMatchObject({ contentLength: 1000 });
  });

  it('asks for tokens over TLS when the registry speaks it', async () => {
    await using plain = await startServer((_request, response) => void response.end('{"token":"t"}'));
    await using server = await startServer((_request, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${plain.url}"` }).end();
    }, own);
    await using client = testClient({ tls: { '127.0.0.1': { ca } } });
    await expect(client.probe(anonymous(server.url), active())).rejects.toMatchObject({ status: 401 });
    expect(plain.requests).toHaveLength(0);
  });
});
