import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { PieceAnswerDecoder } from './answer-decoder.ts';
import { encodeClose, encodeError, encodePieceHeader, encodePieceRequest } from './encode.ts';
import type { PieceFamily, PieceMetadata } from './frames.ts';
import { PieceRequestDecoder } from './request-decoder.ts';

interface Vector {
  readonly name: string;
  readonly packetId: number;
  readonly tag: number;
  readonly hex: string;
  readonly taskId?: string;
  readonly pieceNumber?: number;
  readonly message?: string;
  readonly contentText?: string;
  readonly headerAndMetadataHex?: string;
  readonly metadata?: { number: number; offset: number; length: number; digest: string; parentId: string } & {
    costSeconds: number;
    createdAtSeconds: number;
  };
}

const vectors = JSON.parse(readFileSync(new URL('../testdata/frames.json', import.meta.url), 'utf8')) as Vector[];
const FAMILIES: Readonly<Record<string, PieceFamily>> = {
  DownloadPiece: 'standard',
  DownloadPersistentPiece: 'persistent',
  DownloadPersistentCachePiece: 'persistentCache',
};
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const named = (name: string): Vector => {
  const vector = vectors.find((candidate) => candidate.name === name);
  if (vector === undefined) throw new Error(`no vector named ${name}`);
  return vector;
};

describe('recorded frames', () => {
  it.each(Object.keys(FAMILIES))('are a request: %s', (name) => {
    const { packetId, taskId = '', pieceNumber = 0, hex } = named(name);
    const family = FAMILIES[name] ?? 'standard';
    expect(hexOf(encodePieceRequest(family, taskId, pieceNumber, packetId))).toBe(hex);
    expect(new PieceRequestDecoder().push(bytesOf(hex))).toEqual({
      consumed: 74,
      frame: { kind: 'request', packetId, family, taskId, number: pieceNumber },
    });
  });

  it('are the front of a piece, without its content', () => {
    const { packetId, metadata, hex, headerAndMetadataHex = '' } = named('PieceContent');
    if (metadata === undefined) throw new Error('the vector has no metadata');
    const { costSeconds, createdAtSeconds, number, offset, length, digest, parentId } = metadata;
    const times = { costMs: costSeconds * 1000, createdAtMs: createdAtSeconds * 1000 };
    const meta: PieceMetadata = { number, offset, length, digest, parentId, trafficType: 'remotePeer', ...times };
    expect(hexOf(encodePieceHeader('standard', meta, packetId))).toBe(headerAndMetadataHex);
    const bytes = bytesOf(hex);
    const { consumed, frame } = new PieceAnswerDecoder().push(bytes);
    expect(frame).toEqual({ kind: 'content', packetId, family: 'standard', meta });
    expect(Buffer.from(bytes.subarray(consumed)).toString()).toBe('hello');
  });

  it('are an error', () => {
    const { packetId, message = '', hex } = named('Error');
    expect(hexOf(encodeError('notFound', message, packetId))).toBe(hex);
    const frame = { kind: 'error', packetId, code: 'notFound', message };
    expect(new PieceAnswerDecoder().push(bytesOf(hex))).toEqual({ consumed: hex.length / 2, frame });
  });

  it('are a goodbye, in both directions', () => {
    const { packetId, hex } = named('Close');
    expect(hexOf(encodeClose(packetId))).toBe(hex);
    for (const decoder of [new PieceRequestDecoder(), new PieceAnswerDecoder()]) {
      expect(decoder.push(bytesOf(hex))).toEqual({ consumed: 6, frame: { kind: 'close', packetId } });
    }
  });
});
