import type { Offence } from './reputation.ts';

/** The bytes of a piece contradict what their sender, or somebody who got them from the origin, says of them. */
const WRONG_BYTES = new Set(['PIECE_DIGEST_MISMATCH', 'PIECE_MISMATCH', 'PIECE_REFUTED']);

/** For people. */
export const OFFENCES: Readonly<Record<Offence, string>> = {
  wrongBytes: 'it sent wrong bytes',
  falseVoucher: 'it vouched for wrong bytes',
  stalled: 'it stopped sending',
  unreachable: 'it could not be reached',
};

/** What a failed call or transfer says of the parent; undefined when it answered in good order that it cannot serve. */
export function offenceOf(error: unknown): Offence | undefined {
  const { code, phase, isAnswer } = error as { code?: unknown; phase?: unknown; isAnswer?: unknown };
  if (code === 'PIECE_REFUSED' || code === 'PIECE_RECEIVER_LOST' || isAnswer === true) return undefined;
  if (WRONG_BYTES.has(String(code))) return 'wrongBytes';
  // A host that accepts a connection and then says nothing would cost every task the same wait again.
  const isSilent = code === 'PARENT_SILENT' || code === 'PIECE_STALLED' || phase === 'header';
  return isSilent ? 'stalled' : 'unreachable';
}
