import { describe, expect, it } from '@jest/globals';
import { UpstreamGuard, UpstreamRefusedError } from '@d7y/service-kit';
import { startServer, testClient } from './_origin-server.ts';

const signal = new AbortController().signal;
const ask = (url: string) => ({ url, headers: {}, credentials: {} });

describe('upstream guard of the origin client', () => {
  it('weakness 11: a redirect leads neither to a metadata service nor to a denied host', async () => {
    await using origin = await startServer((request, response) => {
      const to = new URL(request.url ?? '/', 'http://x').searchParams.get('to') ?? '';
      response.writeHead(307, { location: to }).end();
    });
    await using guarded = testClient({ guard: new UpstreamGuard({ deny: ['denied.test'] }) });
    for (const to of ['http://169.254.169.254/latest', 'http://[fd00:ec2::254]/', 'http://0/', 'http://denied.test/']) {
      const request = ask(`${origin.url}/?to=${encodeURIComponent(to)}`);
      await expect(guarded.probe(request, { signal })).rejects.toThrow(UpstreamRefusedError);
    }
  });

  it('does not try again what it refuses', async () => {
    await using guarded = testClient({ guard: new UpstreamGuard({ refusePrivate: true }) });
    await expect(guarded.fetch(ask('http://localhost:9/x'), undefined, { signal })).rejects.toThrow(/private address/);
    expect(guarded.waits).toEqual([]);
  });
});
