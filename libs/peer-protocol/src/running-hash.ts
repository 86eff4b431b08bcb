import { createHash, type Hash } from 'node:crypto';
import { readInTurns } from './read-in-turns.ts';

/** The part that one transfer has in a running hash. */
export interface HashTap {
  update(run: Uint8Array): void;
  /** All bytes of the transfer are here. */
  end(): void;
  /** The transfer came to nothing. */
  undo(): void;
}

/** A state to return to: what was hashed before a piece was. */
interface Mark {
  readonly position: number;
  readonly hash: Hash;
}

/**
 * Hash of a task's content in order, while its pieces come in any order. A piece that begins where the hash stands is hashed as it passes
 * through; whatever else lies before the end that is known to be good is read back from the file, where it still is in the page cache.
 * What passed through counts for good only when `advance` says so: until then `forget` goes back to the state before.
 */
export class RunningHash {
  readonly #algorithm: string;
  readonly #fd: number;
  #hash: Hash;
  #position = 0;
  /** Ascending. */
  #marks: Mark[] = [];
  #tap: symbol | undefined;
  /** Where the reading that is under way will end. */
  #readingEnd = 0;
  #isClosed = false;
  /** How often it was set back. */
  #setbacks = 0;

  /** @param fd open for reading as long as the hash is used */
  constructor(algorithm: string, fd: number) {
    this.#algorithm = algorithm;
    this.#fd = fd;
    this.#hash = createHash(algorithm);
  }

  /** How far it has come. */
  get position(): number {
    return this.#position;
  }

  /** Bytes are passing, or being read back. */
  get isBusy(): boolean {
    return !this.#isClosed && (this.#tap !== undefined || this.#readingEnd > 0);
  }

  /** A transfer of bytes from `position` on begins. @returns undefined when the hash stands elsewhere, or is busy */
  tap(position: number): HashTap | undefined {
    if (position !== this.#position || this.#tap !== undefined || this.#readingEnd > 0 || this.#isClosed)
      return undefined;
    const token = Symbol();
    this.#tap = token;
    this.#marks.push({ position, hash: this.#hash.copy() });
    return {
      update: (run) => {
        if (this.#tap !== token) return;
        this.#hash.update(run);
        this.#position += run.length;
      },
      end: () => {
        if (this.#tap === token) this.#tap = undefined;
      },
      undo: () => {
        if (this.#tap === token) this.forget(position);
      },
    };
  }

  /** Everything before `end` is in the file for good. Resolves when it is hashed. @throws what reading throws */
  async advance(end: number): Promise<void> {
    this.#marks = this.#marks.filter(({ position }) => position >= end);
    if (this.#position >= end) return;
    this.#tap = undefined;
    this.#readingEnd = end;
    const setbacks = this.#setbacks;
    try {
      // What is forgotten meanwhile is asked for again once it is there.
      const isWanted = (): boolean => !this.#isClosed && setbacks === this.#setbacks;
      for await (const run of readInTurns(this.#fd, this.#position, end, isWanted)) {
        if (!isWanted()) break;
        this.#hash.update(run);
        this.#position += run.length;
      }
    } finally {
      this.#readingEnd = 0;
    }
  }

  /** Bytes from `position` on will be other ones. */
  forget(position: number): void {
    // Bytes that were going to be read may be replaced just as well as those that were.
    if (position < Math.max(this.#position, this.#readingEnd)) this.#setbacks++;
    if (position >= this.#position) return;
    this.#tap = undefined;
    const index = this.#marks.findLastIndex((mark) => mark.position <= position);
    const mark = this.#marks[index];
    this.#hash = mark?.hash ?? createHash(this.#algorithm);
    this.#position = mark?.position ?? 0;
    this.#marks.length = Math.max(index, 0);
  }

  /** Nothing is read from the file any more. */
  close(): void {
    this.#isClosed = true;
    this.#tap = undefined;
  }

  /** Of all that was hashed, in hex; the hash starts anew. */
  digest(): string {
    const digest = this.#hash.digest('hex');
    this.#hash = createHash(this.#algorithm);
    this.#position = 0;
    this.#marks = [];
    this.#tap = undefined;
    return digest;
  }
}
