import { startTestDatabases } from '@d7y/testkit';
import { queueConformance } from './_queue-conformance.ts';

queueConformance('PostgreSQL', async () => {
  const server = await startTestDatabases();
  return {
    address: { kind: 'postgres', ...(await server.create()) },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});
