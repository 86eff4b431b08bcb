import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { eventually } from '@d7y/testkit';
import { listenTo } from './_listener.ts';
import type { EventStreamOptions, StreamEnd } from './event-stream.ts';
import { sendEvents } from './event-stream.ts';
import { EventIds } from './event-text.ts';

const SILENT = { listen: () => ({ [Symbol.dispose]: () => undefined }) };

/** A stream on which nothing happens, and a client of it. */
async function streamWith(recheck: EventStreamOptions['recheck']) {
  await using stack = new AsyncDisposableStack();
  const stopping = new AbortController();
  const ends: StreamEnd[] = [];
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    void sendEvents({
      ...{ response, recheck, topics: ['jobs'], feeds: { jobs: SILENT, tasks: SILENT, peers: SILENT } },
      ...{ ids: new EventIds(), signal: stopping.signal, onEnd: (end) => ends.push(end) },
      limits: { heartbeatMs: 60_000, recheckMs: 5, maxWaitingBytes: 1_000, retryMs: 1, endMs: 10_000 },
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  stack.defer(() => stopping.abort());
  const client = stack.use(await listenTo(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`));
  const running = stack.move();
  return { client, ends, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

describe('a stream whose client cannot be asked for', () => {
  it('goes on the first time, and ends the second time in a row', async () => {
    let asked = 0;
    await using stream = await streamWith(async () => {
      // Every other time, for a while; then never again.
      if (++asked % 2 === 1 || asked > 10) throw new Error('the database is away: at host 10.0.0.1');
    });
    expect((await stream.client.rest()).at(-1)).toEqual({
      event: 'end',
      data: { reason: 'it cannot be asked whether you may listen' },
    });
    expect(asked).toBe(12);
    expect(stream.ends).toEqual(['unverified']);
  });
});

describe('a stream', () => {
  it('ends with its client, once', async () => {
    await using stream = await streamWith(async () => undefined);
    await stream.client.next();
    stream.client[Symbol.dispose]();
    await eventually(() => expect(stream.ends).toEqual(['gone']));
  });
});
