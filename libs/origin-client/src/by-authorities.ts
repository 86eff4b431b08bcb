import type { OriginBody, OriginRequest } from '@d7y/peer-engine';
import type { OriginClient } from './origin-client.ts';
import type { TrustWorlds } from './trust-worlds.ts';

/** Sends requests that bring authorities of their own to the client that is made for these, all others to the common one. */
export function byAuthorities(common: OriginClient, worlds: TrustWorlds<OriginClient>): OriginClient {
  const ask = async <T>(request: OriginRequest, question: (client: OriginClient) => Promise<T>): Promise<T> => {
    if (request.authorities === undefined) return question(common);
    using used = worlds.use(request.authorities, request.url);
    return await question(used.client);
  };
  return {
    probe: (request, options) => ask(request, (client) => client.probe(request, options)),
    head: (request, options) => ask(request, (client) => client.head(request, options)),
    fetch: async (request, range, { signal }) => {
      if (request.authorities === undefined) return common.fetch(request, range, { signal });
      const used = worlds.use(request.authorities, request.url);
      try {
        return inUse(await used.client.fetch(request, range, { signal }), used, { signal });
      } catch (error) {
        used[Symbol.dispose]();
        throw error;
      }
    },
    knownAuthorization: (url, account) => common.knownAuthorization(url, account),
    async [Symbol.asyncDispose]() {
      await Promise.all([common[Symbol.asyncDispose](), worlds[Symbol.asyncDispose]()]);
    },
  };
}

/** A body that keeps in use what it comes from, until it ends or nobody wants it any more. */
function inUse({ chunks }: OriginBody, used: Disposable, { signal }: { signal: AbortSignal }): OriginBody {
  const letGo = (): void => {
    signal.removeEventListener('abort', letGo);
    used[Symbol.dispose]();
  };
  signal.addEventListener('abort', letGo, { once: true });
  const read = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* chunks;
    } finally {
      letGo();
    }
  };
  return { chunks: read() };
}
