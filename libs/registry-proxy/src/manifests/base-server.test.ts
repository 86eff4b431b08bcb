import { Secret } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { type Answer, ask, FakeRegistry, startProxy } from '../_fakes.ts';
import { REGISTRY_PROXY_DEFAULTS } from '../config.ts';
import { RegistryKnowledge } from '../registry-knowledge.ts';

/** A proxy that once let a client ask a registry for `/v2/`, and the answer now that the registry is down. */
async function afterwards(challenge: string | undefined, headers: Record<string, string> = {}): Promise<Answer> {
  await using proxy = await startProxy();
  let authority: string;
  {
    await using registry = await FakeRegistry.start((_request, response) => {
      response.writeHead(
        challenge === undefined ? 200 : 401,
        challenge === undefined ? {} : { 'www-authenticate': challenge },
      );
      response.end();
    });
    authority = registry.authority;
    const answer = await ask(proxy.port, `/v2/?ns=${authority}`);
    expect(answer.headers['www-authenticate']).toBe(challenge);
    expect(registry.requests).toHaveLength(1);
  }
  return await ask(proxy.port, `/v2/?ns=${authority}`, { headers });
}

describe('/v2/ of a registry that is down', () => {
  it('lets anybody in, as the registry did', async () => {
    const answer = await afterwards(undefined);
    expect([answer.status, answer.headers['docker-distribution-api-version']]).toEqual([200, 'registry/2.0']);
  });

  it('asks for a password as the registry did, and takes it', async () => {
    const challenge = 'Basic realm="test"';
    expect(await afterwards(challenge)).toMatchObject({ status: 401, headers: { 'www-authenticate': challenge } });
    expect((await afterwards(challenge, { authorization: 'Basic Og==' })).status).toBe(200);
  });

  it('does not send clients to a token server, which need not be up', async () => {
    expect((await afterwards('Bearer realm="https://auth.test/token"')).status).toBe(200);
  });
});

describe('/v2/ of a registry at which this node has an account', () => {
  it('lets clients without credentials in, and leaves those with credentials to the registry', async () => {
    await using registry = await FakeRegistry.start((_request, response) => response.writeHead(401).end());
    const credentials = { authorization: new Secret('Basic planted') };
    await using proxy = await startProxy({}, undefined, {
      knowledge: (origin) =>
        new RegistryKnowledge({ origin, config: REGISTRY_PROXY_DEFAULTS, nodeCredentials: () => credentials }),
    });
    expect((await ask(proxy.port, `/v2/?ns=${registry.authority}`)).status).toBe(200);
    expect(registry.requests).toHaveLength(0);
    const own = await ask(proxy.port, `/v2/?ns=${registry.authority}`, { headers: { authorization: 'Basic own' } });
    expect(own.status).toBe(401);
    expect(registry.requests[0]?.headers['authorization']).toBe('Basic own');
  });
});
