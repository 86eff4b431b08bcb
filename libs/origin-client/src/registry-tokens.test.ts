import { createLogger } from '@d7y/service-kit';
import { Secret } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { active, anonymous, collect, pattern } from '@d7y/peer-engine/conformance';
import type { TestServer } from './_origin-server.ts';
import { serveContent, startServer, testClient } from './_origin-server.ts';

const bytes = pattern(1, 1000);
const DIGEST = `sha256:${'a'.repeat(64)}`;

interface Registry extends AsyncDisposable {
  readonly blob: string;
  readonly registry: TestServer;
  readonly tokenServer: TestServer;
  /** Tokens that are good. */
  readonly good: Set<string>;
}

/** A registry that wants Bearer tokens, and the server that gives them out. */
async function startRegistry(
  options: { tokenStatus?: number; giveBad?: boolean; realm?: string } = {},
): Promise<Registry> {
  const good = new Set<string>();
  const tokenServer = await startServer((_request, response) => {
    if (options.tokenStatus !== undefined) return void response.writeHead(options.tokenStatus).end('{}');
    const token = `planted-${good.size}`;
    if (options.giveBad !== true) good.add(token);
    response.end(JSON.stringify({ token, expires_in: 300 }));
  });
  const registry = await startServer((request, response) => {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token !== undefined && good.has(token)) return serveContent({ bytes }, request, response);
    const realm = options.realm ?? `${tokenServer.url}/token`;
    const challenge = `Bearer realm="${realm}",service="registry.test",scope="repository:org/app:pull"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end('unauthorized');
  });
  return {
    blob: `${registry.url}/v2/org/app/blobs/${DIGEST}`,
    registry,
    tokenServer,
    good,
    [Symbol.asyncDispose]: async () => {
      await registry[Symbol.asyncDispose]();
      await tokenServer[Symbol.asyncDispose]();
    },
  };
}

describe('a caller without credentials', () => {
  it('gets the token that anybody gets', async () => {
    await using under = await startRegistry();
    await using client = testClient();
    expect(await client.fetch(anonymous(under.blob), undefined, active()).then(collect)).toEqual(Buffer.from(bytes));
    const [asked] = under.tokenServer.requests;
    expect(asked?.method).toBe('GET');
    expect(asked?.url).toBe('/token?service=registry.test&scope=repository%3Aorg%2Fapp%3Apull');
    expect(asked?.headers.authorization).toBeUndefined();
  });

  it('shares one token with all others, and uses it unasked', async () => {
    await using under = await startRegistry();
    await using client = testClient();
    await Promise.all([1, 2, 3].map(() => client.probe(anonymous(under.blob), active())));
    const before = under.registry.requests.length;
    await client.probe(anonymous(under.blob), active());
    expect(under.registry.requests.length).toBe(before + 1);
    expect(under.tokenServer.requests).toHaveLength(1);
  });

  it('gets a new token when the old one is over, or not taken any more', async () => {
    let clock = 0;
    await using under = await startRegistry();
    await using client = testClient({ retry: { clock: () => clock } });
    await client.probe(anonymous(under.blob), active());
    clock = 295_000;
    await client.probe(anonymous(under.blob), active());
    expect(under.tokenServer.requests).toHaveLength(2);
    under.good.delete('planted-1');
    under.good.add('unguessable');
    await client.probe(anonymous(under.blob), active());
    expect(under.tokenServer.requests).toHaveLength(3);
  });

  it.each([401, 403, 404])('is told the challenge when strangers get no token (%i)', async (tokenStatus) => {
    await using under = await startRegistry({ tokenStatus });
    await using client = testClient();
    const failure = client.probe(anonymous(under.blob), active());
    await expect(failure).rejects.toMatchObject({
      status: 401,
      headers: { 'www-authenticate': expect.stringMatching(/^Bearer realm=/) },
    });
  });

  it('is told the challenge when the token of strangers does not do', async () => {
    await using under = await startRegistry({ giveBad: true });
    await using client = testClient();
    await expect(client.probe(anonymous(under.blob), active())).rejects.toMatchObject({ status: 401 });
    expect(under.registry.requests).toHaveLength(2);
  });

  it('does not take a broken token server for a refusal', async () => {
    await using under = await startRegistry({ tokenStatus: 500 });
    await using client = testClient();
    const failure = client.probe(anonymous(under.blob), active());
    await expect(failure).rejects.toMatchObject({ code: 'ORIGIN_UNREACHABLE', message: /token server answered 500/ });
  });

  it.each(['ftp://token.test/', 'file:///etc/passwd', 'token'])('is not sent to the realm %s', async (realm) => {
    await using under = await startRegistry({ realm });
    await using client = testClient();
    await expect(client.probe(anonymous(under.blob), active())).rejects.toMatchObject({ status: 401 });
  });

  it('leaves no token in what is logged or thrown', async () => {
    const lines: string[] = [];
    const logger = createLogger({ name: 'test', level: 'trace', stream: { write: (line) => void lines.push(line) } });
    await using under = await startRegistry({ giveBad: true });
    await using client = testClient({ logger });
    const error: unknown = await client.probe(anonymous(under.blob), active()).catch((thrown: unknown) => thrown);
    logger.error({ err: error }, 'refused');
    expect(lines).toHaveLength(1);
    expect(lines.join('')).not.toContain('planted-');
  });
});

describe('a caller with credentials', () => {
  it('is itself: its refusal is its own, and no token is asked for', async () => {
    await using under = await startRegistry();
    await using client = testClient();
    await client.probe(anonymous(under.blob), active());
    const credentials = { authorization: new Secret('Bearer of-mine') };
    await expect(client.probe({ ...anonymous(under.blob), credentials }, active())).rejects.toMatchObject({
      status: 401,
    });
    expect(under.tokenServer.requests).toHaveLength(1);
    expect(under.registry.requests.at(-1)?.headers.authorization).toBe('Bearer of-mine');
  });
});

describe('a caller with a password, at a registry that wants tokens', () => {
  const basic = (text: string) => new Secret(`Basic ${Buffer.from(text).toString('base64')}`);
  const as = (blob: string, text: string) => ({ ...anonymous(blob), credentials: { authorization: basic(text) } });

  /** Gives tokens to the user `robot` alone. */
  async function startPrivateRegistry() {
    const given = new Map<string, string>();
    const tokenServer = await startServer((request, response) => {
      const authorization = request.headers.authorization ?? '';
      if (authorization !== basic('robot:planted-password').reveal()) return void response.writeHead(401).end('{}');
      const token = `planted-token-${given.size}`;
      given.set(token, authorization);
      response.end(JSON.stringify({ token, expires_in: 300 }));
    });
    const registry = await startServer((request, response) => {
      const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
      if (token !== undefined && given.has(token)) return serveContent({ bytes }, request, response);
      const challenge = `Bearer realm="${tokenServer.url}/token",service="registry.test",scope="repository:org/app:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end('unauthorized');
    });
    return {
      ...{ tokenServer, registry, blob: `${registry.url}/v2/org/app/blobs/${DIGEST}` },
      [Symbol.asyncDispose]: async () => {
        await registry[Symbol.asyncDispose]();
        await tokenServer[Symbol.asyncDispose]();
      },
    };
  }

  it('gets the token of its account, once for all requests that come together', async () => {
    await using under = await startPrivateRegistry();
    await using client = testClient();
    const request = as(under.blob, 'robot:planted-password');
    const heads = await Promise.all(Array.from({ length: 16 }, () => client.head(request, active())));
    expect(heads.map(({ contentLength }) => contentLength)).toEqual(heads.map(() => bytes.length));
    expect(under.tokenServer.requests).toHaveLength(1);
    expect(await client.fetch(request, undefined, active()).then(collect)).toEqual(Buffer.from(bytes));
    expect(under.registry.requests.at(-1)?.headers.authorization).toMatch(/^Bearer planted-token/);
    expect(under.tokenServer.requests).toHaveLength(1);
  });

  it('shares its token neither with strangers nor with other accounts', async () => {
    await using under = await startPrivateRegistry();
    await using client = testClient();
    await client.head(as(under.blob, 'robot:planted-password'), active());
    for (const other of [
      anonymous(under.blob),
      as(under.blob, 'robot:wrong'),
      as(under.blob, 'eve:planted-password'),
    ]) {
      await expect(client.head(other, active())).rejects.toMatchObject({ status: 401 });
    }
  });

  it('does not have a wrong password tried again and again', async () => {
    let clock = 0;
    await using under = await startPrivateRegistry();
    await using client = testClient({ retry: { clock: () => clock } });
    const request = as(under.blob, 'robot:wrong');
    for (let attempt = 0; attempt < 5; attempt++) {
      await expect(client.head(request, active())).rejects.toMatchObject({ status: 401 });
    }
    expect(under.tokenServer.requests).toHaveLength(1);
    clock += 31_000;
    await expect(client.head(request, active())).rejects.toMatchObject({ status: 401 });
    expect(under.tokenServer.requests).toHaveLength(2);
  });

  it('has its token renewed before that is over', async () => {
    let clock = 0;
    await using under = await startPrivateRegistry();
    await using client = testClient({ retry: { clock: () => clock } });
    await client.head(as(under.blob, 'robot:planted-password'), active());
    clock = 291_000;
    const before = under.registry.requests.length;
    await client.head(as(under.blob, 'robot:planted-password'), active());
    expect(under.tokenServer.requests).toHaveLength(2);
    expect(under.registry.requests.slice(before).map(({ headers }) => headers.authorization?.split(' ')[0])).toEqual([
      'Basic',
      'Bearer',
    ]);
  });

  it('does not answer a challenge of the place to which it was redirected', async () => {
    await using under = await startPrivateRegistry();
    await using first = await startServer((request, response) => {
      response.writeHead(307, { location: `${under.registry.url}${request.url ?? ''}` }).end();
    });
    await using client = testClient();
    const request = as(`${first.url}/v2/org/app/blobs/${DIGEST}`, 'robot:planted-password');
    await expect(client.fetch(request, undefined, active()).then(collect)).rejects.toMatchObject({ status: 401 });
    expect(under.tokenServer.requests).toHaveLength(0);
    expect(under.registry.requests[0]?.headers.authorization).toBeUndefined();
  });
});

describe('weakness 10: the target of a redirect', () => {
  it('is asked for anew by each caller, and again when a signed one is refused', async () => {
    let signature = 0;
    const good = new Set<string>();
    await using store = await startServer((request, response) => {
      if (!good.has(request.url ?? '')) return void response.writeHead(403).end();
      serveContent({ bytes }, request, response);
    });
    await using registry = await startServer((request, response) => {
      const target = `/signed?for=${encodeURIComponent(request.headers.authorization ?? 'nobody')}&n=${signature++}`;
      good.clear(); // a signature is good for one request
      good.add(target);
      response.writeHead(307, { location: `${store.url}${target}` }).end();
    });
    await using client = testClient();
    const url = `${registry.url}/v2/org/app/blobs/${DIGEST}`;
    for (const token of ['one', 'one', 'two']) {
      const credentials = { authorization: new Secret(`Bearer ${token}`) };
      expect(await client.fetch({ url, headers: {}, credentials }, undefined, active()).then(collect)).toHaveLength(
        1000,
      );
    }
    expect(registry.requests).toHaveLength(3);
    expect(store.requests.map(({ url: asked }) => new URLSearchParams(asked?.split('?')[1]).get('for'))).toEqual([
      'Bearer one',
      'Bearer one',
      'Bearer two',
    ]);
    for (const { headers } of store.requests) expect(headers.authorization).toBeUndefined();
  });
});

describe('a HEAD', () => {
  it('takes a redirect for an answer: the registry has decided by then', async () => {
    await using registry = await startServer((_request, response) => {
      response.writeHead(307, { location: 'http://127.0.0.1:1/elsewhere' }).end();
    });
    await using client = testClient();
    expect(await client.head(anonymous(`${registry.url}/v2/a/blobs/${DIGEST}`), active())).toMatchObject({
      status: 307,
    });
  });

  it('is asked once: whoever asks has something to fall back on', async () => {
    await using registry = await startServer((_request, response) => void response.writeHead(503).end());
    await using client = testClient();
    const failure = client.head(anonymous(`${registry.url}/v2/a/manifests/v1`), active());
    await expect(failure).rejects.toMatchObject({ status: 503 });
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD']);
  });
});
