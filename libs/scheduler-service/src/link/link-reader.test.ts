import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readLinkRequest } from './link-reader.ts';

type Said = NonNullable<MessageInitShape<typeof swarm.LinkRequestSchema>['request']>;

const uint32 = fc.oneof(fc.nat(300), fc.nat(2 ** 32 - 1));
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 48n });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
/** Without what stands for bytes that are no UTF-8: that is left to the general decoder. */
const text = fc.string({ unit: 'grapheme', maxLength: 80 }).filter((drawn) => !drawn.includes('\ufffd'));
const bits = fc.uint8Array({ maxLength: 20 }).map((bytes) => Uint8Array.from(bytes));
const bitmap = fc.record({ runs: fc.array(fc.record({ first: uint32, count: uint32, bits }), { maxLength: 4 }) });
const deliveries = fc.array(
  fc.record({ parentNumber: uint32, parentId: text, pieces: uint32, bytes: uint64, durationMs: uint64 }),
  { maxLength: 3 },
);
const source = fc.record({
  ...{ url: text, digest: text, tag: text, application: text, contentForCalculatingTaskId: text },
  filteredQueryParams: fc.array(text, { maxLength: 2 }),
  requestHeaders: fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), text, { maxKeys: 2, noNullPrototype: true }),
  requestedPieceLength: maybe(uint64),
  enableTaskIdBasedBlobDigest: fc.boolean(),
});
const peerNumber = uint32;
const fromOrigin = fc.boolean();
const register = fc.record({
  ...{ peerNumber, taskId: text, peerId: text, traceparent: text, priority: uint32, source: maybe(source) },
  ...{ contentLength: maybe(uint64), pieceLength: maybe(uint64), held: maybe(bitmap) },
  ...{ range: maybe(fc.record({ start: uint64, length: uint64 })), needBackToSource: fc.boolean() },
  metadataOnly: fc.boolean(),
});
const SAID: Record<string, fc.Arbitrary<unknown>> = {
  register,
  started: fc.record({ peerNumber, fromOrigin }),
  havePieces: fc.record({ peerNumber, pieces: maybe(bitmap), deliveries }),
  finished: fc.record({ peerNumber, fromOrigin, pieces: maybe(bitmap), deliveries }),
};
const encoded = (request: Said): Buffer =>
  Buffer.from(toBinary(swarm.LinkRequestSchema, create(swarm.LinkRequestSchema, { request })));
/** With all that a lazy part says. */
const written = (message: swarm.LinkRequest): Uint8Array => toBinary(swarm.LinkRequestSchema, message);
const generally = (bytes: Uint8Array): swarm.LinkRequest | undefined => {
  try {
    return fromBinary(swarm.LinkRequestSchema, bytes);
  } catch {
    return undefined;
  }
};

describe('readLinkRequest', () => {
  it.each(Object.keys(SAID))('reads what the general decoder reads: %s', (kind) => {
    fc.assert(
      fc.property(SAID[kind] ?? fc.constant(undefined), (value) => {
        const bytes = encoded({ case: kind, value } as Said);
        const read = readLinkRequest(bytes);
        if (read === undefined) throw new Error('left to the general decoder');
        expect(read.request.case).toBe(kind);
        if (read.request.case === 'register' && read.request.value.source !== undefined) {
          const { source: lazy } = read.request.value;
          // Read field by field, as those who use it do.
          read.request.value.source = create(swarm.TaskSourceSchema, {
            ...{ url: lazy.url, digest: lazy.digest, tag: lazy.tag, application: lazy.application },
            ...{ filteredQueryParams: lazy.filteredQueryParams, requestHeaders: lazy.requestHeaders },
            contentForCalculatingTaskId: lazy.contentForCalculatingTaskId,
            enableTaskIdBasedBlobDigest: lazy.enableTaskIdBasedBlobDigest,
            ...(lazy.requestedPieceLength !== undefined && { requestedPieceLength: lazy.requestedPieceLength }),
          });
        }
        expect(written(read)).toEqual(new Uint8Array(bytes));
      }),
    );
  });

  it('hears nothing from a source that cannot be read', () => {
    const bytes = encoded({ case: 'register', value: { source: { url: 'https://a.example/b' } } });
    bytes[bytes.indexOf('https') - 1] = 100;
    const request = readLinkRequest(bytes)?.request;
    expect(request).toMatchObject({ case: 'register', value: { source: { url: '', filteredQueryParams: [] } } });
  });

  it('leaves to the general decoder what it does not know, and what is cut off or damaged', () => {
    fc.assert(
      fc.property(register, fc.nat(), fc.nat(255), (value, at, byte) => {
        const whole = encoded({ case: 'register', value });
        const cut = whole.subarray(0, at % whole.length);
        if (cut.length > 0) expect(readLinkRequest(cut)).toBeUndefined();
        const damaged = Buffer.from(whole);
        damaged[at % whole.length] = byte;
        // Whatever it is by now, it is the same to both, or left to the other.
        const read = readLinkRequest(damaged);
        if (read?.request.case !== 'register') return;
        const general = generally(damaged);
        if (general !== undefined)
          expect(general.request).toMatchObject({ value: { peerNumber: read.request.value.peerNumber } });
      }),
    );
    for (const said of [
      { case: 'open', value: { hostId: 'a' } },
      { case: 'drain', value: { reason: 'stop' } },
    ] satisfies Said[])
      expect(readLinkRequest(encoded(said))).toBeUndefined();
    const unknownField = Buffer.concat([
      encoded({ case: 'started', value: { peerNumber: 1 } }),
      Buffer.from([0xf8, 1, 1]),
    ]);
    expect(readLinkRequest(unknownField)).toBeUndefined();
  });
});
