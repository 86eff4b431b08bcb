import { Code, ConnectError } from '@connectrpc/connect';
import { manager } from '@d7y/api';
import { createSeedPeerManagerClient } from '@d7y/peer-protocol';
import { createLogger, listen } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { SeedPresence } from './seed-presence.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const REGISTRATION = {
  ...{ hostname: 'seed-1', ip: '127.0.0.1', port: 4000, downloadPort: 4000, clusterId: 3 },
  ...{ idc: 'east', location: undefined },
};

/** A manager that can forget, and be away. */
class FakeManager {
  readonly registrations: manager.UpdateSeedPeerRequest[] = [];
  beats = 0;
  isKnown = false;
  hasSeeds = true;

  async listen(port = 0) {
    return await listen({
      ...{ host: '127.0.0.1', port, logger, drainMs: 0 },
      grpc: (router) =>
        router.service(manager.Manager, {
          updateSeedPeer: (request) => {
            if (!this.hasSeeds) throw new ConnectError('none', Code.Unimplemented);
            this.registrations.push(request);
            this.isKnown = true;
            return {};
          },
          keepAlive: async (requests) => {
            for await (const _ of requests) {
              if (!this.isKnown) throw new ConnectError('unknown', Code.NotFound);
              this.beats++;
            }
            return {};
          },
        }),
    });
  }
}

async function eventually(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error('it has not happened within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function startPresence(port: number) {
  const client = createSeedPeerManagerClient({ host: '127.0.0.1', port });
  const presence = new SeedPresence({ client, registration: REGISTRATION, logger, intervalMs: 10, retryMs: 10 });
  const over = new AbortController();
  const running = presence.run({ signal: over.signal });
  const stop = async () => {
    over.abort();
    await running;
    client[Symbol.dispose]();
  };
  return { running, [Symbol.asyncDispose]: stop };
}

describe('SeedPresence', () => {
  it('registers and says that it is there', async () => {
    const fake = new FakeManager();
    await using listener = await fake.listen();
    await using _presence = await startPresence(listener.port);
    await eventually(() => fake.beats > 2);
    expect(fake.registrations).toMatchObject([
      { hostname: 'seed-1', type: 'super', port: 4000, downloadPort: 4000, seedPeerClusterId: 3n, idc: 'east' },
    ]);
  });

  it('registers anew with a manager that was away, or has forgotten', async () => {
    const fake = new FakeManager();
    const first = await fake.listen();
    const { port } = first;
    await using _presence = await startPresence(port);
    await eventually(() => fake.beats > 0);
    await first[Symbol.asyncDispose]();
    fake.isKnown = false;
    const { beats } = fake;
    await using _second = await fake.listen(port);
    await eventually(() => fake.registrations.length > 1 && fake.beats > beats);
  });

  it('leaves a manager alone that has no books of seeds', async () => {
    const fake = new FakeManager();
    fake.hasSeeds = false;
    await using listener = await fake.listen();
    await using presence = await startPresence(listener.port);
    await presence.running;
    expect(fake.registrations).toEqual([]);
  });
});
