import type { Announcement, Instruction } from '@d7y/peer-protocol';

/** The same conversation, with somebody who hears when it breaks. */
export function watchedAnnouncement(inner: Announcement, onBroken: (error: unknown) => void): Announcement {
  return {
    instructions: watched(inner.instructions, onBroken),
    get hotPieces() {
      return inner.hotPieces;
    },
    started: () => inner.started(),
    backToSourceStarted: (reason) => inner.backToSourceStarted(reason),
    pieceFinished: (piece) => inner.pieceFinished(piece),
    pieceFailed: (pieceNumber, parentId) => inner.pieceFailed(pieceNumber, parentId),
    reschedule: (parents, reason) => inner.reschedule(parents, reason),
    finished: (contentLength, pieceCount) => inner.finished(contentLength, pieceCount),
    backToSourceFinished: (contentLength, pieceCount) => inner.backToSourceFinished(contentLength, pieceCount),
    failed: (reason) => inner.failed(reason),
    backToSourceFailed: (reason, origin) => inner.backToSourceFailed(reason, origin),
    abort: () => inner.abort(),
  };
}

async function* watched(
  instructions: AsyncIterable<Instruction>,
  onBroken: (error: unknown) => void,
): AsyncGenerator<Instruction, void, undefined> {
  try {
    yield* instructions;
  } catch (error) {
    onBroken(error);
    throw error;
  }
}
