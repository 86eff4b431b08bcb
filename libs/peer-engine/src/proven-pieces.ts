import type { ContentHasher } from '@d7y/peer-protocol';
import { pieceRange, PieceSet } from '@d7y/piece';
import { hashLike, hashStored } from './content-hash.ts';
import type { StoredTask } from './ports/task-store.ts';
import type { BufferSource } from './reader-buffers.ts';

/** Its algorithm is used: every piece has been recorded with its CRC. */
const ANY_CRC = 'crc32:0';
/** What reading says of bytes that are gone for good. */
const DAMAGE: ReadonlySet<unknown> = new Set(['CONTENT_LOST', 'EIO']);

export interface ProvenPiecesInit {
  /** Takes the work off this thread, where the store has files. */
  readonly hasher: ContentHasher | undefined;
  /** To read through where it does not. */
  readonly buffers: BufferSource;
  /** Ends all of it. */
  readonly signal: AbortSignal;
}

interface Knowledge {
  readonly proven: PieceSet;
  readonly underWay: Map<number, Promise<boolean>>;
}

/**
 * Which pieces on disk are what their records say, as far as this process can know: it wrote them itself, or has compared them. Each is
 * compared once, before the first of its bytes goes to a reader.
 */
export class ProvenPieces {
  readonly #init: ProvenPiecesInit;
  readonly #known = new WeakMap<StoredTask, Knowledge>();

  constructor(init: ProvenPiecesInit) {
    this.#init = init;
  }

  has(stored: StoredTask, pieceNumber: number): boolean {
    return this.#known.get(stored)?.proven.has(pieceNumber) === true;
  }

  /** The piece has been written just now. */
  add(stored: StoredTask, pieceNumber: number): void {
    this.#of(stored).proven.add(pieceNumber);
  }

  /**
   * Whether a piece that is on record is on disk as well, byte for byte.
   * @throws what reading throws, unless it says that the bytes are lost
   */
  prove(stored: StoredTask, pieceNumber: number): Promise<boolean> {
    const { proven, underWay } = this.#of(stored);
    if (proven.has(pieceNumber)) return Promise.resolve(true);
    const known = underWay.get(pieceNumber);
    if (known !== undefined) return known;
    const proving = this.#compare(stored, pieceNumber)
      .then((isRight) => {
        if (isRight) proven.add(pieceNumber);
        return isRight;
      })
      .finally(() => underWay.delete(pieceNumber));
    underWay.set(pieceNumber, proving);
    return proving;
  }

  #of(stored: StoredTask): Knowledge {
    let knowledge = this.#known.get(stored);
    if (knowledge === undefined) {
      knowledge = { proven: new PieceSet(), underWay: new Map() };
      this.#known.set(stored, knowledge);
    }
    return knowledge;
  }

  async #compare(stored: StoredTask, pieceNumber: number): Promise<boolean> {
    const piece = stored.piece(pieceNumber);
    if (piece === undefined) return false;
    try {
      return (await this.#digest(stored, pieceNumber)) === piece.digest;
    } catch (error) {
      if (DAMAGE.has((error as { code?: unknown }).code)) return false;
      throw error;
    }
  }

  async #digest(stored: StoredTask, pieceNumber: number): Promise<string> {
    const { hasher, buffers, signal } = this.#init;
    const { start, length } = pieceRange(stored.layout, pieceNumber);
    const range = { start, end: start + length };
    if (hasher === undefined || stored.openFile === undefined) {
      const hash = hashLike(ANY_CRC);
      await hashStored(stored, range, hash, buffers, { signal });
      return hash.digest();
    }
    using file = await stored.openFile();
    return `crc32:${await hasher.hashPart(stored.taskId, 'crc32', file.fd, range)}`;
  }
}
