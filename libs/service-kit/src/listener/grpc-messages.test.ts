import { describe, expect, it } from '@jest/globals';
import { grpcFrame } from '../rpc/message-stream.ts';
import { GrpcMessages } from './grpc-messages.ts';

function collect(maxBytes?: number) {
  const messages = new GrpcMessages(maxBytes);
  const found: string[] = [];
  const push = (chunk: Buffer) => messages.push(chunk, (message) => found.push(message.toString()));
  return { messages, found, push };
}

describe('GrpcMessages', () => {
  it('finds messages wherever they are cut', () => {
    const bytes = Buffer.concat(['first', '', 'a longer third'].map((each) => grpcFrame(Buffer.from(each))));
    for (let size = 1; size <= bytes.length; size++) {
      const { messages, found, push } = collect();
      for (let at = 0; at < bytes.length; at += size) push(bytes.subarray(at, at + size));
      messages.end();
      expect(found).toEqual(['first', '', 'a longer third']);
    }
  });

  it('does not wait for a message that claims to be longer than any, or than it may be', () => {
    expect(() => collect().push(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]))).toThrow('too long');
    expect(() => collect(3).push(grpcFrame(Buffer.from('four')))).toThrow('too long');
    expect(() => collect(4).push(grpcFrame(Buffer.from('four')))).not.toThrow();
  });

  it('refuses compression, which it did not offer', () => {
    expect(() => collect().push(Buffer.from([1, 0, 0, 0, 0]))).toThrow('compressed');
  });

  it('tells a message that is cut off from an end', () => {
    const { messages, push } = collect();
    messages.end();
    push(Buffer.from([0, 0, 0, 0, 9, 1]));
    expect(() => messages.end()).toThrow('cut off');
  });
});
