import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import { messagesIn } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { WireWriter } from './wire-writer.ts';

const number = fc.oneof(fc.nat(200), fc.nat(2 ** 32 - 1));
const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const hosts = fc.array(
  fc.record({ number, id: text, ip: text, port: number, isSeed: fc.boolean(), idc: text, location: text }),
  { maxLength: 6 },
);

describe('WireWriter', () => {
  it('writes messages as others read them, the next after the last', () => {
    const writer = new WireWriter();
    fc.assert(
      fc.property(number, hosts, fc.maxSafeNat(), (peerNumber, offered, contentLength) => {
        const offer = writer.begin(5);
        writer.number(1, peerNumber);
        for (const host of offered) {
          const start = writer.begin(2);
          writer.number(1, host.number);
          writer.text(2, host.id);
          writer.text(3, host.ip);
          writer.number(4, host.port);
          writer.flag(5, host.isSeed);
          writer.text(6, host.idc);
          writer.text(7, host.location);
          writer.end(start);
        }
        writer.number(5, contentLength);
        writer.end(offer);
        const value = create(swarm.OfferSchema, { peerNumber, hosts: offered, contentLength: BigInt(contentLength) });
        expect(fromBinary(swarm.LinkResponseSchema, writer.finish())).toEqual(
          create(swarm.LinkResponseSchema, { response: { case: 'offer', value } }),
        );
      }),
    );
  });

  it('takes what is longer than its memory', () => {
    const writer = new WireWriter();
    const description = 'ä'.repeat(100_000);
    const start = writer.begin(8);
    writer.text(3, description);
    writer.end(start);
    const { response } = fromBinary(swarm.LinkResponseSchema, writer.finish());
    expect(response).toMatchObject({ case: 'refusal', value: { description } });
  });

  it('writes messages of gRPC one after the other', () => {
    const writer = new WireWriter();
    const descriptions = ['short', 'ö'.repeat(1000), ''];
    for (const description of descriptions) {
      const frame = writer.beginFrame();
      writer.raw(
        toBinary(
          swarm.LinkResponseSchema,
          create(swarm.LinkResponseSchema, { response: { case: 'refusal', value: { description } } }),
        ),
      );
      writer.endFrame(frame);
    }
    const said = [...messagesIn(writer.finish())].map((bytes) => fromBinary(swarm.LinkResponseSchema, bytes));
    expect(said).toMatchObject(
      descriptions.map((description) => ({ response: { case: 'refusal', value: { description } } })),
    );
    expect(writer.length).toBe(0);
  });
});
