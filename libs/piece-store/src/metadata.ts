import type { NewTask } from '@d7y/peer-engine';
import type { PieceRecord, PieceSet } from '@d7y/piece';

/** A task as the metadata has it. */
export interface TaskRow extends Omit<NewTask, 'responseHeaders' | 'url'> {
  /** Names this incarnation of the task: a task created again under its id gets another key. */
  readonly key: number;
  readonly createdAtMs: number;
  readonly usedAtMs: number;
  readonly isComplete: boolean;
  readonly isPinned: boolean;
  /** Pieces must match their CRC before they count: a machine went down under this task. */
  readonly isSuspect: boolean;
}

/** What is long and seldom asked for: a store has many more tasks than are in use, and keeps this of those alone that are. */
export type TaskDescription = Pick<NewTask, 'url' | 'responseHeaders'>;

/** A task found at opening. */
export interface LoadedTask {
  readonly row: TaskRow;
  /** Undefined for all of them, as a complete task has; its records are looked at when they are needed. */
  readonly pieces: PieceSet | undefined;
}

/** One change to a task. What is not named stays. */
export type TaskChange =
  | { readonly kind: 'piece'; readonly key: number; readonly piece: PieceRecord }
  | { readonly kind: 'discard'; readonly key: number; readonly pieceNumbers: readonly number[] }
  | { readonly kind: 'used'; readonly key: number; readonly usedAtMs: number }
  | { readonly kind: 'complete'; readonly key: number }
  | { readonly kind: 'pinned'; readonly key: number; readonly isPinned: boolean }
  | { readonly kind: 'trusted'; readonly key: number }
  | { readonly kind: 'remove'; readonly key: number };

/** How the process before us ended. */
export type PreviousEnd = 'clean' | 'killed' | 'machineDown';

/** Records about tasks on disk. Every call is one transaction and blocks while it lasts; nothing here is called per chunk. */
export interface TaskMetadata {
  readonly previousEnd: PreviousEnd;
  /** There were no records: content found beside them belongs to records that were lost. */
  readonly isNew: boolean;
  /** Everything that can be understood; what cannot is forgotten, one task at a time. */
  load(): LoadedTask[];
  /** Takes the place of a task with the same id. */
  insert(task: NewTask, createdAtMs: number): TaskRow;
  apply(changes: readonly TaskChange[]): void;
  /** Undefined when the task is not on record any more. */
  describe(key: number): TaskDescription | undefined;
  /** Those of its records that can be understood. */
  pieces(key: number): Map<number, PieceRecord>;
  /** Notes that the store was open at this time: the next opening knows then how long it was not. */
  noteTime(nowMs: number): void;
  /** @param isClean content is on disk as well; the next opening will trust it */
  close(options: { isClean: boolean }): void;
}
