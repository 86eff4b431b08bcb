import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import type { NewTask } from '@d7y/peer-engine';
import type { PieceRecord } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';
import { StoreFormatError } from './errors.ts';
import type { LoadedTask, PreviousEnd, TaskChange, TaskMetadata, TaskRow } from './metadata.ts';
import { decodePiece, decodeTask, TRAFFIC_TYPES } from './metadata-rows.ts';

/** Raised by every change after which an earlier release would misread the database. */
export const FORMAT_VERSION = 1;

const SCHEMA = `
  create table store (name text primary key, value text not null) without rowid;
  create table task (
    key integer primary key autoincrement,
    id text not null unique,
    url text not null,
    content_length integer not null,
    piece_length integer not null,
    digest text,
    response_headers text not null,
    is_private integer not null,
    created_at_ms integer not null,
    used_at_ms integer not null,
    is_complete integer not null default 0,
    is_suspect integer not null default 0
  );
  create table piece (
    task_key integer not null,
    number integer not null,
    digest text not null,
    parent_id text,
    traffic_type integer not null,
    cost_ms integer not null,
    created_at_ms integer not null,
    primary key (task_key, number)
  ) without rowid;
  pragma user_version = ${FORMAT_VERSION};
`;

export interface SqliteMetadataOptions {
  /** Path of the database file. */
  readonly path: string;
  /** For messages. */
  readonly dir: string;
  /** Names the run of the machine; undefined where it cannot be known. */
  readonly bootId: string | undefined;
  /** A task's records could not be understood and are gone. */
  readonly onDamagedTask: (taskId: string, reason: string) => void;
}

/** Task metadata in SQLite with a write-ahead log; `synchronous = normal` survives a killed process without a sync per batch. */
export class SqliteMetadata implements TaskMetadata {
  readonly previousEnd: PreviousEnd;
  readonly #database: DatabaseSync;
  readonly #onDamagedTask: SqliteMetadataOptions['onDamagedTask'];
  readonly #statements: ReturnType<typeof prepare>;

  /**
   * Opens or creates the database.
   * @throws {StoreFormatError} written by a later release
   * @throws an error for which `isDamage` holds
   */
  constructor({ path, dir, bootId, onDamagedTask }: SqliteMetadataOptions) {
    this.#onDamagedTask = onDamagedTask;
    this.#database = new DatabaseSync(path);
    try {
      // Exclusive: the directory is ours alone, and the log then needs no shared memory file.
      this.#database.exec('pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = normal');
      this.#migrate(dir);
      this.previousEnd = this.#begin(bootId);
      this.#statements = prepare(this.#database);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  load(): LoadedTask[] {
    const loaded = new Map<number, LoadedTask>();
    const damaged = new Map<number, { id: string; reason: string }>();
    for (const row of this.#statements.tasks.iterate()) {
      const task = decodeTask(row);
      if (typeof task === 'string') damaged.set(Number(row['key']), { id: String(row['id']), reason: task });
      else loaded.set(task.key, { row: task, pieces: new PieceSet() });
    }
    for (const row of this.#statements.allPieces.iterate()) {
      const key = Number(row['task_key']);
      const task = loaded.get(key);
      const piece = task === undefined ? 'its task is gone' : decodePiece(row, task.row.layout);
      if (typeof piece !== 'string') task?.pieces.add(piece.number);
      else if (!damaged.has(key)) damaged.set(key, { id: task?.row.taskId ?? '', reason: piece });
    }
    for (const [key, { id, reason }] of damaged) {
      loaded.delete(key);
      this.apply([{ kind: 'remove', key }]);
      if (id !== '') this.#onDamagedTask(id, reason);
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
        createdAtMs,
        createdAtMs,
      );
      key = Number(lastInsertRowid);
    });
    return { ...task, key, createdAtMs, usedAtMs: createdAtMs, isComplete: false, isSuspect: false };
  }

  apply(changes: readonly TaskChange[]): void {
    this.#transaction(() => {
      for (const change of changes) this.#apply(change);
    });
  }

  pieces(key: number): Map<number, PieceRecord> {
    const row = this.#statements.taskByKey.get(key);
    const task = row === undefined ? undefined : decodeTask(row);
    const pieces = new Map<number, PieceRecord>();
    if (task === undefined || typeof task === 'string') return pieces;
    for (const pieceRow of this.#statements.taskPieces.iterate(key)) {
      const piece = decodePiece(pieceRow, task.layout);
      if (typeof piece !== 'string') pieces.set(piece.number, piece);
    }
    return pieces;
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
        const traffic = TRAFFIC_TYPES.indexOf(piece.trafficType);
        const [cost, created] = [Math.round(piece.costMs), Math.round(piece.createdAtMs)];
        statements.putPiece.run(change.key, piece.number, piece.digest, piece.parentId ?? null, traffic, cost, created);
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

  #migrate(dir: string): void {
    const version = Number(this.#database.prepare('pragma user_version').get()?.['user_version']);
    if (version > FORMAT_VERSION) throw new StoreFormatError(dir, version, FORMAT_VERSION);
    if (version === 0) this.#transaction(() => this.#database.exec(SCHEMA));
  }

  /** Notes that we are at work, and finds out how our predecessor ended. Tasks it left behind on a machine that went down become suspect. */
  #begin(bootId: string | undefined): PreviousEnd {
    const read = this.#database.prepare('select value from store where name = ?');
    const before = { isClean: read.get('clean')?.['value'] !== '0', bootId: read.get('boot')?.['value'] };
    const end: PreviousEnd = before.isClean
      ? 'clean'
      : bootId !== undefined && before.bootId === bootId
        ? 'killed'
        : 'machineDown';
    if (end !== 'clean') this.#check();
    this.#transaction(() => {
      if (end === 'machineDown') this.#database.exec('update task set is_suspect = 1');
      const note = this.#database.prepare('insert or replace into store values (?, ?)');
      note.run('clean', '0');
      note.run('boot', bootId ?? '');
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

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  return {
    tasks: sql('select * from task'),
    keyOf: sql('select key from task where id = ?'),
    taskByKey: sql('select * from task where key = ?'),
    allPieces: sql('select * from piece'),
    taskPieces: sql('select * from piece where task_key = ?'),
    insertTask: sql(
      `insert into task (id, url, content_length, piece_length, digest, response_headers, is_private, created_at_ms, used_at_ms)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    deleteTask: sql('delete from task where key = ?'),
    deletePieces: sql('delete from piece where task_key = ?'),
    putPiece: sql('insert or replace into piece values (?, ?, ?, ?, ?, ?, ?)'),
    deletePiece: sql('delete from piece where task_key = ? and number = ?'),
    setUsed: sql('update task set used_at_ms = ? where key = ?'),
    setComplete: sql('update task set is_complete = ? where key = ?'),
    setTrusted: sql('update task set is_suspect = 0 where key = ?'),
    note: sql('insert or replace into store values (?, ?)'),
  };
}
