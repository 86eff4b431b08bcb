// Turns: what our own daemons say to each other on a connection of its own, in tags that the published protocol reserves. A child says what
// it could take, its parent offers it a turn, and the child answers with a piece request on another connection, or passes.
import { FrameLengthError, FrameTextError, UnknownTagError } from './errors.ts';
import { FrameReader, type Step } from './frame-reader.ts';
import type { Decoded } from './frames.ts';
import { checkInteger, checkTaskId, newFrame } from './new-frame.ts';
import { HEADER_BYTES, TASK_ID_BYTES } from './layout.ts';

/** How much a child receives at this moment, over all its tasks: nothing; less than it could; as much as it wants. */
export type IntakeLevel = 'idle' | 'open' | 'full';

/**
 * Why a turn is offered: it is the child's; the parent has pieces that nobody else has; nobody receives less, and the parent's link has been at
 * rest. The last two are worth taking by a child that receives something already.
 */
export type TurnReason = 'turn' | 'fresh' | 'resting';

/** What a child wants of a task that it follows: nothing that the parent has; something; it follows the task no more. */
export type TurnWish = 'nothing' | 'something' | 'over';

/** What a child says. */
export type TurnRequestFrame =
  | { readonly kind: 'wish'; readonly packetId: number; readonly taskId: string; readonly wish: TurnWish }
  | { readonly kind: 'level'; readonly packetId: number; readonly level: IntakeLevel }
  /** It does not take this offer. */
  | { readonly kind: 'pass'; readonly packetId: number; readonly offer: number }
  /** What it asked for because of this offer will have come in so many ms: 0 when it has, or comes no more. Said once. */
  | { readonly kind: 'ending'; readonly packetId: number; readonly offer: number; readonly inMs: number };

/** What a parent says. */
export type TurnAnswerFrame =
  /** Whether children are to wait for offers; otherwise they may ask for pieces whenever they like. */
  | { readonly kind: 'rule'; readonly packetId: number; readonly mustWait: boolean }
  /** A place among its uploads is the child's, for any piece of the task, if it asks soon. */
  | {
      readonly kind: 'offer';
      readonly packetId: number;
      readonly offer: number;
      readonly taskId: string;
      readonly reason: TurnReason;
    };

const WISH_TAG = 32;
const LEVEL_TAG = 33;
const PASS_TAG = 34;
const ENDING_TAG = 35;
const RULE_TAG = 40;
const OFFER_TAG = 41;
const NUMBER_BYTES = 4;
const MAX_OFFER = 2 ** 32 - 1;
const MAX_ENDING_MS = 2 ** 32 - 1;

/** Position is the byte on the wire. */
const WISHES = ['nothing', 'something', 'over'] as const satisfies readonly TurnWish[];
const REASONS = ['turn', 'fresh', 'resting'] as const satisfies readonly TurnReason[];
const LEVELS = ['idle', 'open', 'full'] as const satisfies readonly IntakeLevel[];

/** Bytes of the value of each frame that a child sends. */
const REQUEST_BYTES = new Map([
  [WISH_TAG, TASK_ID_BYTES + 1],
  [LEVEL_TAG, 1],
  [PASS_TAG, NUMBER_BYTES],
  [ENDING_TAG, 2 * NUMBER_BYTES],
]);
/** And of each that a parent sends. */
const ANSWER_BYTES = new Map([
  [RULE_TAG, 1],
  [OFFER_TAG, NUMBER_BYTES + TASK_ID_BYTES + 1],
]);

/** @returns whether a frame with this tag speaks of turns, and comes from a child */
export function isTurnRequestTag(tag: number): boolean {
  return REQUEST_BYTES.has(tag);
}

/** @throws {FrameFieldError} */
export function encodeTurnRequest(frame: TurnRequestFrame): Uint8Array {
  const { packetId } = frame;
  switch (frame.kind) {
    case 'wish': {
      const { bytes, view } = newFrame(packetId, WISH_TAG, TASK_ID_BYTES + 1);
      writeTaskId(bytes, HEADER_BYTES, frame.taskId);
      view.setUint8(HEADER_BYTES + TASK_ID_BYTES, WISHES.indexOf(frame.wish));
      return bytes;
    }
    case 'level': {
      const { bytes, view } = newFrame(packetId, LEVEL_TAG, 1);
      view.setUint8(HEADER_BYTES, LEVELS.indexOf(frame.level));
      return bytes;
    }
    case 'pass': {
      checkInteger('offer', frame.offer, 0, MAX_OFFER);
      const { bytes, view } = newFrame(packetId, PASS_TAG, NUMBER_BYTES);
      view.setUint32(HEADER_BYTES, frame.offer);
      return bytes;
    }
    case 'ending': {
      checkInteger('offer', frame.offer, 0, MAX_OFFER);
      checkInteger('time to the end', frame.inMs, 0, MAX_ENDING_MS);
      const { bytes, view } = newFrame(packetId, ENDING_TAG, 2 * NUMBER_BYTES);
      view.setUint32(HEADER_BYTES, frame.offer);
      view.setUint32(HEADER_BYTES + NUMBER_BYTES, frame.inMs);
      return bytes;
    }
  }
}

/** @throws {FrameFieldError} */
export function encodeTurnAnswer(frame: TurnAnswerFrame): Uint8Array {
  const { packetId } = frame;
  if (frame.kind === 'rule') {
    const { bytes, view } = newFrame(packetId, RULE_TAG, 1);
    view.setUint8(HEADER_BYTES, frame.mustWait ? 1 : 0);
    return bytes;
  }
  checkInteger('offer', frame.offer, 0, MAX_OFFER);
  const { bytes, view } = newFrame(packetId, OFFER_TAG, NUMBER_BYTES + TASK_ID_BYTES + 1);
  view.setUint32(HEADER_BYTES, frame.offer);
  writeTaskId(bytes, HEADER_BYTES + NUMBER_BYTES, frame.taskId);
  view.setUint8(HEADER_BYTES + NUMBER_BYTES + TASK_ID_BYTES, REASONS.indexOf(frame.reason));
  return bytes;
}

/** Reads what a parent says of turns. */
export class TurnAnswerDecoder {
  readonly #reader = new FrameReader(readTurnAnswer);

  /** @throws {MalformedFrameError} and so does every later call */
  push(chunk: Uint8Array): Decoded<TurnAnswerFrame> {
    return this.#reader.push(chunk);
  }

  /** To be called when the parent has hung up. @throws {FrameTruncatedError} in the middle of a frame */
  end(): void {
    this.#reader.end();
  }
}

/** @param gathered of a frame whose tag is that of a turn request. @throws {MalformedFrameError} */
export function readTurnRequest(gathered: DataView): Step<TurnRequestFrame> {
  const packetId = gathered.getUint8(0);
  const tag = gathered.getUint8(1);
  const expected = REQUEST_BYTES.get(tag);
  if (expected === undefined) throw new UnknownTagError(tag);
  if (!hasValue(gathered, expected)) return { more: expected };
  switch (tag) {
    case WISH_TAG: {
      const wish = WISHES[gathered.getUint8(HEADER_BYTES + TASK_ID_BYTES)] ?? 'nothing';
      return { frame: { kind: 'wish', packetId, taskId: readTaskId(gathered, HEADER_BYTES), wish } };
    }
    case LEVEL_TAG:
      // A level that we do not know takes no turns.
      return { frame: { kind: 'level', packetId, level: LEVELS[gathered.getUint8(HEADER_BYTES)] ?? 'full' } };
    case PASS_TAG:
      return { frame: { kind: 'pass', packetId, offer: gathered.getUint32(HEADER_BYTES) } };
    default: {
      const inMs = gathered.getUint32(HEADER_BYTES + NUMBER_BYTES);
      return { frame: { kind: 'ending', packetId, offer: gathered.getUint32(HEADER_BYTES), inMs } };
    }
  }
}

function readTurnAnswer(gathered: DataView): Step<TurnAnswerFrame> {
  const packetId = gathered.getUint8(0);
  const tag = gathered.getUint8(1);
  const expected = ANSWER_BYTES.get(tag);
  if (expected === undefined) throw new UnknownTagError(tag);
  if (!hasValue(gathered, expected)) return { more: expected };
  if (tag === RULE_TAG) return { frame: { kind: 'rule', packetId, mustWait: gathered.getUint8(HEADER_BYTES) !== 0 } };
  const taskId = readTaskId(gathered, HEADER_BYTES + NUMBER_BYTES);
  const reason = REASONS[gathered.getUint8(HEADER_BYTES + NUMBER_BYTES + TASK_ID_BYTES)] ?? 'turn';
  return { frame: { kind: 'offer', packetId, offer: gathered.getUint32(HEADER_BYTES), taskId, reason } };
}

/** @throws {FrameLengthError} the header names another length than frames of this kind have */
function hasValue(gathered: DataView, expected: number): boolean {
  const length = gathered.getUint32(2);
  if (length !== expected) throw new FrameLengthError('value', length, `${expected}`);
  return gathered.byteLength > HEADER_BYTES;
}

function writeTaskId(bytes: Uint8Array, at: number, taskId: string): void {
  checkTaskId(taskId);
  for (let index = 0; index < TASK_ID_BYTES; index++) bytes[at + index] = taskId.charCodeAt(index);
}

/** @throws {FrameTextError} */
export function readTaskId(gathered: DataView, at: number): string {
  const bytes = new Uint8Array(gathered.buffer, at, TASK_ID_BYTES);
  if (bytes.some((byte) => byte < 0x21 || byte > 0x7e)) throw new FrameTextError('task id', 'printable ASCII');
  return String.fromCharCode(...bytes);
}
