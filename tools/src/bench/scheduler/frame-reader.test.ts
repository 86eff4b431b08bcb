import { describe, expect, it } from '@jest/globals';
import { FrameReader, MessageReader, TYPE } from './frame-reader.ts';

function frame(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, payload]);
}

const message = (text: string): Buffer => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(text.length, 1);
  return Buffer.concat([prefix, Buffer.from(text)]);
};

/** What comes of bytes that are read in pieces of one size, each piece where the one before was. */
function readInPieces(bytes: Buffer, size: number) {
  const frames: [type: number, flags: number, id: number, payload: string][] = [];
  const contents = new Map<number, string[]>();
  const readers = new Map<number, MessageReader>();
  const reader = new FrameReader({
    data: (id, piece) => {
      let messages = readers.get(id);
      if (messages === undefined) {
        const texts: string[] = [];
        contents.set(id, texts);
        readers.set(id, (messages = new MessageReader((each) => texts.push(each.toString()))));
      }
      messages.push(piece);
    },
    frame: (type, flags, id, payload) => frames.push([type, flags, id, payload.toString()]),
  });
  const room = Buffer.alloc(size);
  for (let at = 0; at < bytes.length; at += size) {
    const length = bytes.copy(room, 0, at, at + size);
    reader.push(room.subarray(0, length));
  }
  return { frames, contents: Object.fromEntries(contents) };
}

describe('FrameReader and MessageReader', () => {
  it('put together what was sent, wherever it is cut', () => {
    const long = 'long '.repeat(100);
    const first = Buffer.concat([message('one'), message(''), message(long)]);
    const second = message('of another stream');
    const sent = Buffer.concat([
      ...[frame(TYPE.settings, 0, 0, Buffer.from('settings')), frame(TYPE.headers, 4, 1, Buffer.from('headers'))],
      ...[frame(TYPE.data, 0, 1, first.subarray(0, 7)), frame(TYPE.data, 0, 3, second.subarray(0, 3))],
      ...[frame(TYPE.data, 0, 1, first.subarray(7, 300)), frame(TYPE.data, 0, 1, Buffer.alloc(0))],
      ...[frame(TYPE.data, 1, 3, second.subarray(3)), frame(TYPE.data, 0, 1, first.subarray(300))],
      frame(TYPE.headers, 5, 1, Buffer.from('trailers')),
    ]);
    for (let size = 1; size <= sent.length; size += size < 40 ? 1 : 37)
      expect(readInPieces(sent, size)).toEqual({
        frames: [
          ...[
            [TYPE.settings, 0, 0, 'settings'],
            [TYPE.headers, 4, 1, 'headers'],
          ],
          ...[
            [TYPE.data, 0, 1, ''],
            [TYPE.data, 0, 3, ''],
            [TYPE.data, 0, 1, ''],
            [TYPE.data, 0, 1, ''],
          ],
          ...[
            [TYPE.data, 1, 3, ''],
            [TYPE.data, 0, 1, ''],
            [TYPE.headers, 5, 1, 'trailers'],
          ],
        ],
        contents: { 1: ['one', '', long], 3: ['of another stream'] },
      });
  });
});
