import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { grpcEnvelope, GrpcMessages } from './grpc-messages.ts';

const text = (bytes: Buffer | undefined) => bytes?.toString();
const tick = () => new Promise((resolve) => setImmediate(resolve));

describe('GrpcMessages', () => {
  it('finds messages wherever they are cut', async () => {
    const source = new PassThrough();
    const messages = new GrpcMessages(source);
    const bytes = Buffer.concat(['first', '', 'third'].map((each) => grpcEnvelope(Buffer.from(each))));
    for (const byte of bytes) source.write(Buffer.from([byte]));
    source.end();
    const found = [];
    for (let next = await messages.next(); next !== undefined; next = await messages.next()) found.push(text(next));
    expect(found).toEqual(['first', '', 'third']);
  });

  it('does not wait for a message that claims to be longer than any', async () => {
    const source = new PassThrough();
    const messages = new GrpcMessages(source);
    source.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]));
    await expect(messages.next()).rejects.toThrow('too long');
  });

  it('refuses compression, which it did not offer', async () => {
    const source = new PassThrough();
    const messages = new GrpcMessages(source);
    source.write(Buffer.from([1, 0, 0, 0, 0]));
    await expect(messages.next()).rejects.toThrow('compressed');
  });

  it('tells a message that is cut off from an end', async () => {
    const source = new PassThrough();
    const messages = new GrpcMessages(source);
    source.end(Buffer.from([0, 0, 0, 0, 9, 1]));
    await expect(messages.next()).rejects.toThrow('cut off');
  });

  it('holds a sender back whom nobody reads, and loses nothing', async () => {
    const source = new PassThrough({ highWaterMark: 16 });
    const messages = new GrpcMessages(source);
    let sent = 0;
    while (sent < 10_000 && source.write(grpcEnvelope(Buffer.from(String(sent++))))) await tick();
    expect(sent).toBeLessThan(200);
    expect(source.isPaused()).toBe(true);
    source.end();
    for (let number = 0; number < sent; number++) expect(text(await messages.next())).toBe(String(number));
    expect(await messages.next()).toBeUndefined();
  });
});
