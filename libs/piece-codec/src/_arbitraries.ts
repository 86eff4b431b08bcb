import fc from 'fast-check';
import type { AnswerFrame, Decoded, PieceFamily, PieceMetadata, RequestFrame } from './frames.ts';
import { encodeClose, encodeError, encodePieceHeader, encodePieceRequest } from './encode.ts';
import { encodeTurnAnswer, encodeTurnRequest, type TurnAnswerFrame } from './turn-frames.ts';

/** Cases that a fuzz run tries: few by default, many in a full run (tools/test --full), any number by FUZZ_RUNS. */
export const FUZZ_RUNS = Number(process.env['FUZZ_RUNS'] ?? (process.env['D7Y_TEST_FULL'] === '1' ? 50_000 : 2000));

const family = fc.constantFrom<PieceFamily>('standard', 'persistent', 'persistentCache', 'cache');
const packetId = fc.nat(255);
const pieceNumber = fc.nat(2 ** 32 - 1);
const taskId = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 64,
  maxLength: 64,
});
const wholeSeconds = fc.nat(2 ** 42).map((seconds) => seconds * 1000);
const text = fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: 'binary', maxLength: 60 }));

const meta: fc.Arbitrary<PieceMetadata> = fc.record({
  number: pieceNumber,
  offset: fc.nat(2 ** 52),
  length: fc.nat(2 ** 52 - 1),
  digest: text,
  parentId: text,
  trafficType: fc.constantFrom('backToSource' as const, 'remotePeer' as const, 'localPeer' as const),
  costMs: wholeSeconds,
  createdAtMs: fc.oneof(
    wholeSeconds,
    wholeSeconds.map((ms) => 0 - ms),
  ),
});

const wish = fc.constantFrom('nothing' as const, 'something' as const, 'over' as const);

export const requestFrame: fc.Arbitrary<RequestFrame> = fc.oneof(
  fc.record({ kind: fc.constant('request' as const), packetId, family, taskId, number: pieceNumber }),
  fc.record({ kind: fc.constant('wish' as const), packetId, taskId, wish }),
  fc.record({
    kind: fc.constant('level' as const),
    packetId,
    level: fc.constantFrom('idle' as const, 'open' as const, 'full' as const),
  }),
  fc.record({ kind: fc.constant('pass' as const), packetId, offer: pieceNumber }),
  fc.record({ kind: fc.constant('ending' as const), packetId, offer: pieceNumber, inMs: pieceNumber }),
  fc.record({ kind: fc.constant('close' as const), packetId }),
);

export const answerFrame: fc.Arbitrary<AnswerFrame> = fc.oneof(
  fc.record({ kind: fc.constant('content' as const), packetId, family, meta }),
  fc.record({
    kind: fc.constant('error' as const),
    packetId,
    code: fc.constantFrom('unknown' as const, 'invalidArgument' as const, 'notFound' as const, 'internal' as const),
    message: fc.string({ unit: 'binary', maxLength: 200 }),
  }),
  fc.record({ kind: fc.constant('close' as const), packetId }),
);

export const turnAnswerFrame: fc.Arbitrary<TurnAnswerFrame> = fc.oneof(
  fc.record({ kind: fc.constant('rule' as const), packetId, mustWait: fc.boolean() }),
  fc.record({
    ...{ kind: fc.constant('offer' as const), packetId, offer: pieceNumber },
    ...{ taskId, reason: fc.constantFrom('turn' as const, 'fresh' as const, 'resting' as const) },
  }),
);

export function encodeFrame(frame: RequestFrame | AnswerFrame | TurnAnswerFrame): Uint8Array {
  switch (frame.kind) {
    case 'request':
      return encodePieceRequest(frame.family, frame.taskId, frame.number, frame.packetId);
    case 'content':
      return encodePieceHeader(frame.family, frame.meta, frame.packetId);
    case 'error':
      return encodeError(frame.code, frame.message, frame.packetId);
    case 'wish':
    case 'level':
    case 'pass':
    case 'ending':
      return encodeTurnRequest(frame);
    case 'rule':
    case 'offer':
      return encodeTurnAnswer(frame);
    case 'close':
      return encodeClose(frame.packetId);
  }
}

/** Lengths of the runs in which bytes come off a socket, used over and over. */
export const runLengths = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 });

/** Feeds all bytes in runs of the given lengths; what a decoder leaves over goes in again. Returns the frames. */
export function decodeInRuns<Frame>(
  decoder: { push(chunk: Uint8Array): Decoded<Frame> },
  bytes: Uint8Array,
  lengths: readonly number[],
): Frame[] {
  const frames: Frame[] = [];
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    let run = bytes.subarray(at, at + (lengths[turn % lengths.length] ?? 1));
    at += run.length;
    while (run.length > 0) {
      const { consumed, frame } = decoder.push(run);
      if (frame !== undefined) frames.push(frame);
      else if (consumed !== run.length) throw new Error(`${run.length - consumed} bytes left over without a frame`);
      run = run.subarray(consumed);
    }
  }
  return frames;
}
