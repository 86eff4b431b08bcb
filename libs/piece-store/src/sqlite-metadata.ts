import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import type { NewTask } from '@d7y/peer-engine';
import type { PieceRecord } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';
import type { LoadedTask, PreviousEnd, TaskChange, TaskDescription, TaskMetadata, TaskRow } from './metadata.ts';
import { decodeHeaders, decodePiece, decodeTask, TRAFFIC_TYPES } from './metadata-rows.ts';
import { migrate } from './sqlite-schema.ts';

/** A store that was closed for longer than this, by its clock, was not unused for that time: nobody could have used it. */
const GAP_MS = 3_600_000;

export interface SqliteMetadataOptions {
  /** Path of the database file. */
  readonly path: string;
  /** For messages. */
  readonly dir: string;
  /** Names the run of the machine; undefined where it cannot be known. */
  readonly bootId: string | undefined;
  /** Unix time in ms. */
  readonly nowMs: number;
  /** A task's records could not be understood and are gone. */
  readonly onDamagedTask: (taskId: string, reason: string) => void;
  /** The record of a piece could not be understood: the piece is not there. */
  readonly onDamagedPiece: (taskId: string, reason: string) => void;
}

/** Task metadata in SQLite with a write-ahead log; `synchronous = normal` survives a killed process without a sync per batch. */
export class SqliteMetadata implements TaskMetadata {
  readonly previousEnd: PreviousEnd;
  readonly isNew: boolean;
  readonly #database: DatabaseSync;
  readonly #options: SqliteMetadataOptions;
  readonly #statements: ReturnType<typeof prepare>;

  /**
   * Opens or creates the database.
   * @throws {StoreFormatError} written by a later release
   * @throws an error for which `isDamage` holds
   */
  constructor(options: SqliteMetadataOptions) {
    this.#options = options;
    this.#database = new DatabaseSync(options.path);
    try {
      // Exclusive: the directory is ours alone, and the log then needs no shared memory file. What the opening itself writes is synced:
      // a clean end must not be believed again after a crash took our notes.
      this.#database.exec('pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full');
      this.isNew = migrate(this.#database, options.dir).wasEmpty;
      this.previousEnd = this.#begin();
      this.#database.exec('pragma synchronous = normal');
      this.#statements = prepare(this.#database);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  load(): LoadedTask[] {
    const { nowMs, onDamagedTask } = this.#options;
    const loaded = new Map<number, LoadedTask>();
    const damaged: { key: number; id: string; reason: string }[] = [];
    for (const row of this.#statements.tasks.iterate()) {
      const task = decodeTask(row, nowMs);
      if (typeof task === 'string') {
        damaged.push({ key: Number(row['key']), id: String(row['id']), reason: task });
        continue;
      }
      loaded.set(task.key, { row: task, pieces: task.isComplete ? undefined : new PieceSet() });
    }
    for (const row of this.#statements.unfinishedPieces.iterate()) {
      const task = loaded.get(Number(row['task_key']));
      const piece = task === undefined ? undefined : this.#decodePiece(row, task.row);
      if (piece !== undefined) task?.pieces?.add(piece.number);
    }
    for (const { key, id, reason } of damaged) {
      this.apply([{ kind: 'remove', key }]);
      onDamagedTask(id, reason);
    }
    return [...loaded.values()];
  }

  insert(task: NewTask, createdAtMs: number): TaskRow {
    let key = 0;
    this.#transaction(() => {
      const replaced = this.#statements.keyOf.get(task.taskId)?.['key'];
      if (replaced !== undefined) this.#apply({ kind: 'remove', key: Number(replaced) });
      const { lastInsertRowid } = this.#statements.insertTask.run(
        task.taskId,
        task.url,
        task.layout.contentLength,
        task.layout.pieceLength,
        task.digest ?? null,
        JSON.stringify(task.responseHeaders),
        task.isPrivate ? 1 : 0,
        Math.round(createdAtMs),
        Math.round(createdAtMs),
      );
      key = Number(lastInsertRowid);
    });
    const { taskId, layout, digest, isPrivate } = task;
    const states = { isComplete: false, isPinned: false, isSuspect: false };
    return { key, taskId, layout, digest, isPrivate, ...states, createdAtMs, usedAtMs: createdAtMs };
  }

  apply(changes: readonly TaskChange[]): void {
    this.#transaction(() => {
      for (const change of changes) this.#apply(change);
    });
  }

  describe(key: number): TaskDescription | undefined {
    const row = this.#statements.description.get(key);
    return row && { url: String(row['url']), responseHeaders: decodeHeaders(String(row['response_headers'])) };
  }

  pieces(key: number): Map<number, PieceRecord> {
    const row = this.#statements.taskByKey.get(key);
    const task = row === undefined ? undefined : decodeTask(row, this.#options.nowMs);
    const pieces = new Map<number, PieceRecord>();
    if (task === undefined || typeof task === 'string') return pieces;
    for (const pieceRow of this.#statements.taskPieces.iterate(key)) {
      const piece = this.#decodePiece(pieceRow, task);
      if (piece !== undefined) pieces.set(piece.number, piece);
    }
    return pieces;
  }

  noteTime(nowMs: number): void {
    this.#statements.note.run('seen', String(Math.round(nowMs)));
  }

  close({ isClean }: { isClean: boolean }): void {
    if (isClean) {
      // The content is synced already; this note must not reach the disk before what it vouches for.
      this.#database.exec('pragma synchronous = full');
      this.#statements.note.run('clean', '1');
      this.#database.exec('pragma wal_checkpoint(truncate)');
    }
    this.#database.close();
  }

  #apply(change: TaskChange): void {
    const statements = this.#statements;
    switch (change.kind) {
      case 'piece': {
        const { piece } = change;
        statements.putPiece.run(
          change.key,
          piece.number,
          piece.digest,
          piece.parentId ?? null,
          TRAFFIC_TYPES.indexOf(piece.trafficType),
          Math.round(piece.costMs),
          Math.round(piece.createdAtMs),
          piece.sha256 ?? null,
          piece.isVerified ? 1 : 0,
        );
        return;
      }
      case 'discard':
        for (const number of change.pieceNumbers) statements.deletePiece.run(change.key, number);
        statements.setComplete.run(0, change.key);
        return;
      case 'used':
        statements.setUsed.run(Math.round(change.usedAtMs), change.key);
        return;
      case 'complete':
        statements.setComplete.run(1, change.key);
        return;
      case 'pinned':
        statements.setPinned.run(change.isPinned ? 1 : 0, change.key);
        return;
      case 'trusted':
        statements.setTrusted.run(change.key);
        return;
      case 'remove':
        statements.deletePieces.run(change.key);
        statements.deleteTask.run(change.key);
        return;
      default:
        change satisfies never;
    }
  }

  #decodePiece(row: Record<string, unknown>, { taskId, layout }: TaskRow): PieceRecord | undefined {
    const piece = decodePiece(row, layout);
    if (typeof piece !== 'string') return piece;
    this.#options.onDamagedPiece(taskId, piece);
    return undefined;
  }

  /** Notes that we are at work, and finds out how our predecessor ended. Tasks it left behind on a machine that went down become suspect. */
  #begin(): PreviousEnd {
    const { bootId, nowMs } = this.#options;
    const read = this.#database.prepare('select value from store where name = ?');
    const before = { isClean: read.get('clean')?.['value'] !== '0', bootId: read.get('boot')?.['value'] };
    const end: PreviousEnd = before.isClean
      ? 'clean'
      : bootId !== undefined && before.bootId === bootId
        ? 'killed'
        : 'machineDown';
    if (end !== 'clean') this.#check();
    const gapMs = nowMs - Number(read.get('seen')?.['value'] ?? NaN);
    this.#transaction(() => {
      if (end === 'machineDown') this.#database.exec('update task set is_suspect = 1');
      if (Math.abs(gapMs) > GAP_MS) {
        // Either nobody could use anything meanwhile, or the clock was set: the order of use stays, and all ages.
        this.#database.prepare('update task set used_at_ms = used_at_ms + ?').run(Math.round(gapMs));
      }
      const note = this.#database.prepare('insert or replace into store values (?, ?)');
      note.run('clean', '0');
      note.run('boot', bootId ?? '');
      note.run('seen', String(Math.round(nowMs)));
    });
    return end;
  }

  #check(): void {
    const result = this.#database.prepare('pragma quick_check(1)').get()?.['quick_check'];
    if (result !== 'ok') throw Object.assign(new Error(`the database is damaged: ${String(result)}`), { errcode: 11 });
  }

  #transaction(work: () => void): void {
    this.#database.exec('begin immediate');
    try {
      work();
      this.#database.exec('commit');
    } catch (error) {
      // A full disk rolls back by itself.
      if (this.#database.isTransaction) this.#database.exec('rollback');
      throw error;
    }
  }
}

/** All but what is long, of which it is only said whether it can be understood. */
const TASK_COLUMNS = `key, id, content_length, piece_length, digest, is_private, created_at_ms, used_at_ms, is_complete, is_pinned, is_suspect,
  typeof(url) = 'text' as has_url, typeof(response_headers) = 'text' and json_valid(response_headers) as has_headers`;

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  return {
    tasks: sql(`select ${TASK_COLUMNS} from task`),
    keyOf: sql('select key from task where id = ?'),
    taskByKey: sql(`select ${TASK_COLUMNS} from task where key = ?`),
    description: sql('select url, response_headers from task where key = ?'),
    unfinishedPieces: sql(
      'select piece.* from task cross join piece on piece.task_key = task.key where task.is_complete is not 1',
    ),
    taskPieces: sql('select * from piece where task_key = ?'),
    insertTask: sql(
      `insert into task (id, url, content_length, piece_length, digest, response_headers, is_private, created_at_ms, used_at_ms)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    deleteTask: sql('delete from task where key = ?'),
    deletePieces: sql('delete from piece where task_key = ?'),
    putPiece: sql(
      `insert or replace into piece (task_key, number, digest, parent_id, traffic_type, cost_ms, created_at_ms, sha256, is_verified)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    deletePiece: sql('delete from piece where task_key = ? and number = ?'),
    setUsed: sql('update task set used_at_ms = ? where key = ?'),
    setComplete: sql('update task set is_complete = ? where key = ?'),
    setPinned: sql('update task set is_pinned = ? where key = ?'),
    setTrusted: sql('update task set is_suspect = 0 where key = ?'),
    note: sql('insert or replace into store values (?, ?)'),
  };
}
