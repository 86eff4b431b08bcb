import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { common, scheduler } from '@d7y/api';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readAnnouncement } from './announcement-reader.ts';

type Said = NonNullable<MessageInitShape<typeof scheduler.AnnouncePeerRequestSchema>['request']>;

const uint32 = fc.oneof(fc.nat(300), fc.nat(2 ** 32 - 1));
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 48n });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
/** Without what stands for bytes that are no UTF-8: that is left to the general decoder. */
const text = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((drawn) => !drawn.includes('\ufffd'));
const bytes = fc.uint8Array({ maxLength: 20 }).map((drawn) => Uint8Array.from(drawn));
const duration = fc.record({ seconds: uint64, nanos: fc.nat(999_999_999) });
const names = fc.string({ unit: 'grapheme-ascii', maxLength: 8 }).filter((name) => name !== '__proto__');
const download = fc.record({
  ...{ url: text, digest: maybe(text), range: maybe(fc.record({ start: uint64, length: uint64 })) },
  type: fc.constantFrom(common.TaskType.STANDARD, common.TaskType.PERSISTENT),
  ...{
    tag: maybe(text),
    application: maybe(text),
    priority: fc.constantFrom(common.Priority.LEVEL0, common.Priority.LEVEL6),
    filteredQueryParams: fc.array(text),
  },
  requestHeader: fc.dictionary(names, text, { maxKeys: 3, noNullPrototype: true }),
  ...{ pieceLength: maybe(uint64), outputPath: maybe(text), timeout: maybe(duration) },
  ...{ disableBackToSource: fc.boolean(), needBackToSource: fc.boolean(), prefetch: fc.boolean() },
  certificateChain: fc.array(bytes, { maxLength: 2 }),
  objectStorage: maybe(fc.record({ region: maybe(text), endpoint: maybe(text) })),
  ...{ contentForCalculatingTaskId: maybe(text), remoteIp: maybe(text), concurrentPieceCount: maybe(uint32) },
  ...{ actualPieceLength: maybe(uint64), actualContentLength: maybe(uint64), actualPieceCount: maybe(uint64) },
  ...{ enableTaskIdBasedBlobDigest: fc.boolean(), metadataOnly: fc.boolean() },
});
const piece = fc.record({
  ...{ number: uint32, parentId: maybe(text), offset: uint64, length: uint64, digest: text, content: maybe(bytes) },
  ...{ trafficType: maybe(fc.nat(3)), cost: maybe(duration), createdAt: maybe(duration) },
});
const SAID: Record<string, fc.Arbitrary<unknown>> = {
  registerPeerRequest: fc.record({ download: maybe(download) }),
  downloadPeerStartedRequest: fc.constant({}),
  downloadPeerFinishedRequest: fc.record({ contentLength: uint64, pieceCount: uint32 }),
  downloadPieceFinishedRequest: fc.record({ piece: maybe(piece) }),
};
const ids = fc.record({ hostId: text, taskId: text, peerId: text });
const encoded = (message: MessageInitShape<typeof scheduler.AnnouncePeerRequestSchema>): Buffer =>
  Buffer.from(toBinary(scheduler.AnnouncePeerRequestSchema, create(scheduler.AnnouncePeerRequestSchema, message)));
const generally = (message: Uint8Array): scheduler.AnnouncePeerRequest | undefined => {
  try {
    return fromBinary(scheduler.AnnouncePeerRequestSchema, message);
  } catch {
    return undefined;
  }
};

describe('readAnnouncement', () => {
  it.each(Object.keys(SAID))('reads what the general decoder reads: %s', (kind) => {
    fc.assert(
      fc.property(ids, SAID[kind] ?? fc.constant(undefined), (given, value) => {
        const message = encoded({ ...given, request: { case: kind, value } as Said });
        expect(readAnnouncement(message)).toEqual(generally(message));
      }),
    );
  });

  it('leaves to the general decoder what it does not know, and reads nothing else into what is cut off or damaged', () => {
    fc.assert(
      fc.property(ids, download, fc.nat(), fc.nat(255), (given, value, at, byte) => {
        const whole = encoded({ ...given, request: { case: 'registerPeerRequest', value: { download: value } } });
        for (const message of [whole.subarray(0, at % whole.length), Buffer.from(whole)]) {
          if (message.length === whole.length) message[at % whole.length] = byte;
          const read = readAnnouncement(message);
          if (read !== undefined) expect(read).toEqual(generally(message));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('leaves kinds that come seldom, a second kind, fields that are not known and headers of a strange name', () => {
    const started: Said = { case: 'downloadPeerStartedRequest', value: {} };
    const seldom: Said = { case: 'reschedulePeerRequest', value: { description: 'x' } };
    const header = { __proto__: 'x' };
    Object.defineProperty(header, '__proto__', { value: 'x', enumerable: true });
    for (const message of [
      encoded({ request: seldom }),
      Buffer.concat([encoded({ request: started }), encoded({ request: started })]),
      Buffer.concat([encoded({ request: started }), Buffer.from([0xf8, 7, 1])]),
      encoded({ request: { case: 'registerPeerRequest', value: { download: { requestHeader: header } } } }),
    ])
      expect(readAnnouncement(message)).toBeUndefined();
  });
});
