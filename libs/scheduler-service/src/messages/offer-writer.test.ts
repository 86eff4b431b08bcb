import { create, fromBinary } from '@bufbuild/protobuf';
import { common, scheduler } from '@d7y/api';
import type { HostView, PeerView, TaskView } from '@d7y/swarm';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MessageWriter } from './message-writer.ts';
import { OfferWriter } from './offer-writer.ts';
import { Records } from './records.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const ms = fc.nat(2 ** 45);
const peers = fc.array(
  fc.record({
    id: text,
    priority: fc.constantFrom(0, 3, 6),
    state: fc.constantFrom('Running', 'Succeeded'),
    range: fc.option(fc.record({ start: fc.maxSafeNat(), length: fc.maxSafeNat() }), { nil: undefined }),
    needBackToSource: fc.boolean(),
    createdAtMs: ms,
    updatedAtMs: ms,
    hostName: text,
    concurrentPieceCount: fc.option(fc.integer({ min: 1, max: 2 ** 32 - 1 }), { nil: undefined }),
  }),
  { maxLength: 5 },
);

describe('OfferWriter', () => {
  it('writes what the messages of the parents say, without what no child needs to know of their hosts, one answer after the other', () => {
    const records = new Records();
    const messages = new MessageWriter(records);
    const writer = new OfferWriter(messages);
    const size = { contentLength: 2 ** 40, pieceLength: 2 ** 22, pieceCount: 2 ** 18 };
    const task = {
      id: 't',
      size,
      state: 'Running',
      peers: new Set(),
      sharers: new Set(),
      createdAtMs: 5,
      updatedAtMs: 6,
    };
    records.keepTask(task as unknown as TaskView, {
      ...{ url: 'https://example.com/ü', digest: undefined, tag: 'v1', application: undefined },
      filteredQueryParams: ['X-Amz-Date', ''],
    });
    fc.assert(
      fc.property(peers, (drawn) => {
        const parents = drawn.map(({ hostName, concurrentPieceCount, ...facts }) => {
          const host = { id: hostName, facts: { ip: '10.0.0.1' } } as unknown as HostView;
          const message = create(common.HostSchema, { id: hostName, name: 'secret', ip: '10.0.0.1', port: 4000 });
          records.keepHost(host, { message });
          const peer = { ...facts, task, host } as unknown as PeerView;
          if (concurrentPieceCount !== undefined) records.keepPeer(peer, { concurrentPieceCount });
          return { peer };
        });
        const candidateParents = parents.map(({ peer }) => {
          const message = messages.peer(peer);
          return { ...message, host: { ...messages.host(peer.host), name: '' } };
        });
        expect(fromBinary(scheduler.AnnouncePeerResponseSchema, writer.offer(parents))).toEqual(
          create(scheduler.AnnouncePeerResponseSchema, {
            response: { case: 'normalTaskResponse', value: { candidateParents } },
          }),
        );
      }),
    );
  });
});
