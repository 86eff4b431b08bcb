import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { active, anonymous, collect, pattern } from '@d7y/peer-engine/conformance';
import { describe, expect, it } from '@jest/globals';
import { makeAuthority } from './_authority.ts';
import { serveContent, startServer, testClient } from './_origin-server.ts';
import { MAX_WORLDS } from './trust-worlds.ts';

const bytes = pattern(1, 1000);
const PATH = `/v2/org/app/blobs/sha256:${'a'.repeat(64)}`;
const { ca: authorities, own } = makeAuthority();
const stranger = makeAuthority();

const startTrusted = () => startServer((request, response) => serveContent({ bytes }, request, response), own);
/** Different texts that mean the same: each is a set of its own. */
const sameAs = (index: number) => `${authorities}\n# ${index}\n`;

describe('a request that brings authorities', () => {
  it('weakness 23: is served by an origin that they vouch for, whatever it asks', async () => {
    await using server = await startTrusted();
    await using client = testClient();
    const request = { ...anonymous(server.url + PATH), authorities };
    expect(await client.probe(request, active())).toMatchObject({ contentLength: 1000 });
    expect(await client.head(request, active())).toMatchObject({ status: 200, contentLength: 1000 });
    expect(await client.fetch(request, { start: 0, length: 1000 }, active()).then(collect)).toEqual(Buffer.from(bytes));
  });

  it('is not served by one that others vouch for, or under another name', async () => {
    await using server = await startTrusted();
    await using elsewhere = await startServer((_request, response) => void response.end(), {
      ...own,
      hostname: 'localhost',
    });
    await using client = testClient();
    for (const request of [
      { ...anonymous(server.url), authorities: stranger.ca },
      { ...anonymous(elsewhere.url), authorities },
    ])
      await expect(client.probe(request, active())).rejects.toThrow('its certificate is not trusted');
    expect(server.requests).toHaveLength(0);
  });

  it('changes nothing for requests without, before, meanwhile and after', async () => {
    await using server = await startTrusted();
    await using client = testClient();
    const untrusted = () =>
      expect(client.probe(anonymous(server.url), active())).rejects.toThrow('its certificate is not trusted');
    await untrusted();
    const { chunks } = await client.fetch({ ...anonymous(server.url), authorities }, undefined, active());
    await untrusted();
    await collect({ chunks });
    await untrusted();
  });

  it('is served by those whom the configuration trusts, too', async () => {
    await using server = await startTrusted();
    const { host } = new URL(server.url);
    await using client = testClient({ tls: { [host]: { ca: authorities } } });
    const request = { ...anonymous(server.url), authorities: stranger.ca };
    await expect(client.probe(request, active())).resolves.toMatchObject({ contentLength: 1000 });
    await using lax = testClient({ tls: { [host]: { insecure: true } } });
    await expect(lax.probe(request, active())).resolves.toMatchObject({ contentLength: 1000 });
  });

  it('gets tokens of its own, which no other request uses', async () => {
    let given = 0;
    await using server = await startServer((request, response) => {
      if (request.url?.startsWith('/token') === true) {
        return void response.end(JSON.stringify({ token: `planted-${given++}`, expires_in: 300 }));
      }
      if (request.headers.authorization !== undefined) return serveContent({ bytes }, request, response);
      const challenge = `Bearer realm="https://${request.headers.host}/token",service="r",scope="repository:org/app:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    }, own);
    // Both may talk to the server; only what they know of it is apart.
    await using client = testClient({ tls: { [new URL(server.url).host]: { ca: authorities } } });
    const sent = async (set?: string): Promise<(string | undefined)[]> => {
      const before = server.requests.length;
      await client.probe({ ...anonymous(server.url + PATH), authorities: set }, active());
      return server.requests.slice(before).map(({ headers }) => headers.authorization);
    };
    const anew = (token: string) => [undefined, undefined, token];
    expect(await sent()).toEqual(anew('Bearer planted-0'));
    expect(await sent(sameAs(1))).toEqual(anew('Bearer planted-1'));
    expect(await sent(sameAs(2))).toEqual(anew('Bearer planted-2'));
    expect(await sent()).toEqual(['Bearer planted-0']);
    expect(await sent(sameAs(1))).toEqual(['Bearer planted-1']);
    expect(client.knownAuthorization(new URL(server.url + PATH), undefined)?.reveal()).toBe('Bearer planted-0');
  });

  it('finds out for itself alone that a host refuses connections', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    await using client = testClient();
    const attempts = async (set?: string): Promise<number> => {
      const before = client.waits.length;
      const probe = client.probe({ ...anonymous(`https://127.0.0.1:${port}/x`), authorities: set }, active());
      await expect(probe).rejects.toMatchObject({ code: 'ORIGIN_UNREACHABLE' });
      return client.waits.length - before;
    };
    expect(await attempts(authorities)).toBeGreaterThan(0);
    expect(await attempts(authorities)).toBe(0);
    expect(await attempts()).toBeGreaterThan(0);
  });

  it('shares a question with nobody else', async () => {
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    await using server = await startServer((request, response) => {
      void answered.then(() => serveContent({ bytes }, request, response));
    }, own);
    await using client = testClient({ tls: { [new URL(server.url).host]: { ca: authorities } } });
    const sets = [undefined, undefined, sameAs(1), sameAs(1), sameAs(2)];
    const probes = sets.map((set) => client.probe({ ...anonymous(server.url + PATH), authorities: set }, active()));
    while (server.requests.length < 3) await new Promise((resolve) => setImmediate(resolve));
    answer();
    await Promise.all(probes);
    expect(server.requests).toHaveLength(3);
  });

  it('is refused while as many others are being served as may be, and served once one of them is over', async () => {
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    await using server = await startServer((request, response) => {
      if (request.url === '/at-once') return serveContent({ bytes }, request, response);
      response.writeHead(200, { 'content-length': String(bytes.length) });
      response.flushHeaders();
      void answered.then(() => response.end(bytes));
    }, own);
    await using client = testClient();
    const fetch = (index: number, signal = active().signal) =>
      client.fetch({ ...anonymous(server.url), authorities: sameAs(index) }, undefined, { signal });
    const leaving = new AbortController();
    const bodies = [await fetch(0, leaving.signal)];
    for (let index = 1; index < MAX_WORLDS; index++) bodies.push(await fetch(index));
    const another = () =>
      client.probe({ ...anonymous(`${server.url}/at-once`), authorities: sameAs(MAX_WORLDS) }, active());
    await expect(another()).rejects.toThrow(`${MAX_WORLDS} other sets of authorities`);
    // Everybody else is served meanwhile.
    await expect(
      client.probe({ ...anonymous(`${server.url}/at-once`), authorities: sameAs(1) }, active()),
    ).resolves.toBeDefined();
    leaving.abort(new Error('it has left'));
    await expect(another()).resolves.toMatchObject({ contentLength: 1000 });
    answer();
    for (const body of bodies.slice(1)) expect(await collect(body)).toEqual(Buffer.from(bytes));
  });
});
