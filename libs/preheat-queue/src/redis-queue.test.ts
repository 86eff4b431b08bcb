import { startRedisServer } from '@d7y/testkit';
import { Secret } from '@d7y/service-kit';
import { queueConformance } from './_queue-conformance.ts';

queueConformance('Redis', async () => {
  const server = await startRedisServer({ isPersistent: true, password: 'planted' });
  return {
    address: { kind: 'redis', addrs: [server.addr], password: new Secret('planted'), db: 2 },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});
