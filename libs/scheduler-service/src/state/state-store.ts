// Who owns what: the store owns the files of its directory. A generation is a snapshot and the journal of what happened since that
// snapshot was begun; the newest snapshot that is whole and all journals from its number on make the state.
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@d7y/service-kit';
import { FILE_HEADER, readRecords, RecordBuffer } from './record-file.ts';
import type { RecordContent } from './record-file.ts';

const FILE = /^(\d{1,15})\.(snapshot|journal)$/;
const FLUSH_MS = 50;
/** A journal that is shorter is not worth a new snapshot. */
const MIN_JOURNAL_BYTES = 4 * 2 ** 20;
/** What waits for a disk that does not keep up; more is thrown away until the next snapshot. */
const MAX_WAITING_BYTES = 64 * 2 ** 20;
/** Of a snapshot, encoded before others have their turn. */
const SLICE_MS = 2;
const WRITE_BYTES = 256 * 1024;

export interface StateStoreOptions {
  readonly dir: string;
  readonly logger: Pick<Logger, 'warn' | 'info'>;
  /** All that is known, as records; read a part at a time while it changes. */
  readonly current: () => Iterable<RecordContent>;
  readonly minJournalBytes?: number;
}

/**
 * Records that outlive the process. What is appended is on its way to the disk after 50 ms, without waiting for the disk itself: a process
 * that is killed loses that much, a machine that loses power a little more. Snapshots reach the disk before they take their name. Never
 * throws once it is open: where the disk fails, the scheduler goes on without memory, and says so once.
 */
export class StateStore implements AsyncDisposable {
  readonly #options: StateStoreOptions;
  #generation: number;
  #journal: FileHandle | undefined;
  #journalBytes = 0;
  #snapshotBytes = 0;
  readonly #waiting = new RecordBuffer();
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #isSnapshotDue = true;
  #isClosed = false;
  #hasFailed = false;

  private constructor(options: StateStoreOptions, generation: number) {
    this.#options = options;
    this.#generation = generation;
  }

  /** @returns the store, and what the last process left; a new generation is begun with the first record, or after `FLUSH_MS` */
  static async open(options: StateStoreOptions): Promise<{ store: StateStore; records: readonly Buffer[] }> {
    const { dir, logger } = options;
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const found = (await readdir(dir)).flatMap((name) => {
      const match = FILE.exec(name);
      return match === null ? [] : [{ name, generation: Number(match[1]), kind: match[2] }];
    });
    found.sort((a, b) => a.generation - b.generation);
    const newest = found.at(-1)?.generation ?? 0;
    let records: readonly Buffer[] = [];
    let from = 0;
    for (const { name, generation } of found.filter(({ kind }) => kind === 'snapshot').reverse()) {
      const content = readRecords(await readFile(join(dir, name)));
      if (content.isWhole) {
        records = content.records;
        from = generation;
        break;
      }
      logger.warn({ file: name }, 'a snapshot is damaged: an older one is taken');
    }
    for (const { name } of found.filter(({ kind, generation }) => kind === 'journal' && generation >= from)) {
      const content = readRecords(await readFile(join(dir, name)));
      records = [...records, ...content.records];
      if (!content.isWhole) logger.info({ file: name }, 'the end of a journal is cut off, as a crash leaves it');
    }
    const store = new StateStore(options, newest);
    store.#schedule();
    return { store, records };
  }

  /** Of the journal that records go into. */
  get generation(): number {
    return this.#generation;
  }

  /** Takes note of a record. */
  append(content: RecordContent): void {
    if (this.#isClosed) return;
    if (this.#waiting.length + content.length > MAX_WAITING_BYTES) {
      this.#isSnapshotDue = true;
      this.#failed(new Error('the disk does not keep up'));
      return;
    }
    if (this.#waiting.add(content)) this.#schedule();
  }

  /** Writes what waits. */
  flush(): Promise<void> {
    this.#work = this.#work.then(() => this.#flush());
    return this.#work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.flush();
    await this.#journal?.close().catch(() => undefined);
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, FLUSH_MS);
  }

  async #flush(): Promise<void> {
    try {
      // What comes from here on goes into the new journal, and what is in the old one by now into the new snapshot.
      const isDue = this.#isSnapshotDue && !this.#isClosed;
      if (isDue) await this.#beginJournal();
      await this.#writeWaiting();
      if (isDue) await this.#snapshot();
      this.#isSnapshotDue =
        this.#journalBytes > Math.max(this.#options.minJournalBytes ?? MIN_JOURNAL_BYTES, this.#snapshotBytes);
      if (this.#isSnapshotDue) this.#schedule();
      this.#hasFailed = false;
    } catch (error) {
      this.#isSnapshotDue = true;
      this.#failed(error);
    }
  }

  async #writeWaiting(): Promise<void> {
    if (this.#journal === undefined || this.#waiting.length === 0) return;
    const records = this.#waiting.take();
    await this.#journal.appendFile(records);
    this.#journalBytes += records.length;
  }

  async #beginJournal(): Promise<void> {
    const path = join(this.#options.dir, `${this.#generation + 1}.journal`);
    const journal = await open(path, 'w', 0o600);
    await this.#journal?.close();
    this.#generation++;
    this.#journal = journal;
    this.#journalBytes = 0;
    await journal.write(FILE_HEADER);
  }

  async #snapshot(): Promise<void> {
    const { dir, current } = this.#options;
    const path = join(dir, `${this.#generation}.snapshot`);
    const temporary = `${path}.part`;
    let written = FILE_HEADER.length;
    {
      await using file = await open(temporary, 'w', 0o600);
      await file.appendFile(FILE_HEADER);
      const batch = new RecordBuffer();
      let sliceEndsMs = performance.now() + SLICE_MS;
      for (const content of current()) {
        batch.add(content);
        if (batch.length < WRITE_BYTES && performance.now() < sliceEndsMs) continue;
        written += batch.length;
        await file.appendFile(batch.take());
        await this.#writeWaiting();
        await new Promise((resolve) => setImmediate(resolve));
        sliceEndsMs = performance.now() + SLICE_MS;
      }
      written += batch.length;
      await file.appendFile(batch.take());
      await file.sync();
    }
    await rename(temporary, path);
    this.#snapshotBytes = written;
    await this.#removeOlder();
  }

  async #removeOlder(): Promise<void> {
    const { dir } = this.#options;
    for (const name of await readdir(dir)) {
      const generation = Number(/^(\d+)\.(?:snapshot|journal)(?:\.part)?$/.exec(name)?.[1] ?? Infinity);
      if (generation < this.#generation) await rm(join(dir, name), { force: true });
    }
  }

  #failed(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#options.logger.warn(
      { err: error, dir: this.#options.dir },
      'what a restart should find cannot be written; it is tried again',
    );
  }
}
