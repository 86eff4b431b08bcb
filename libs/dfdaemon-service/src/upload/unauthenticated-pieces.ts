import type { TaskStore } from '@d7y/peer-engine';
import type { PieceSource } from '@d7y/peer-protocol';

/**
 * Pieces as they leave over a port that does not tell who asks.
 * @param servesPrivate whether private ones do too, protected by nothing but their unguessable ids
 */
export function unauthenticatedPieces(
  inner: PieceSource,
  store: Pick<TaskStore, 'get'>,
  { servesPrivate }: { readonly servesPrivate: boolean },
): PieceSource {
  if (servesPrivate) return inner;
  const isOpen = (taskId: string): boolean => store.get(taskId)?.isPrivate === false;
  return {
    openPiece: async (kind, taskId, ...rest) =>
      isOpen(taskId) ? await inner.openPiece(kind, taskId, ...rest) : undefined,
  };
}
