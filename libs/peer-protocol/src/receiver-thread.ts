// A thread that receives pieces: from the socket through checks and hashes into the file, with a few messages per piece.
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { parentPort, workerData } from 'node:worker_threads';
import { BufferPool } from '@d7y/service-kit';
import { createPieceClient } from './piece-client.ts';
import type { FromReceiver, ReceiverSettings, ToReceiver } from './receiver-messages.ts';
import { toFetchFailure, toWriteFailure } from './receiver-messages.ts';
import { readInTurns } from './read-in-turns.ts';
import { type HashTurn, HashTurns } from './hash-turns.ts';
import { RunningHash } from './running-hash.ts';

/** Bytes that are told of at once; fewer when this time, in ms, has passed. */
const DRAW_BYTES = 1024 * 1024;
const DRAW_MS = 100;
/** Bytes that were told of and not granted yet, before no more are read. */
const DRAW_WINDOW_BYTES = 2 * 1024 * 1024;

const ENDED = new Error('the transfer was ended by the main thread');

const port = parentPort;
if (port === null) throw new Error('this module is the entry of a worker thread');
const say = (message: FromReceiver): void => port.postMessage(message);
const settings = workerData as ReceiverSettings;
const client = createPieceClient({ ...settings, bufferPool: new BufferPool(settings) });

/** One transfer: the sink and the limiter of its reception, whose other ends are on the main thread. */
class Transfer {
  readonly #id: number;
  readonly abort = new AbortController();
  readonly #file = Promise.withResolvers<number>();
  #hasAskedForFile = false;
  #fd: number | undefined;
  #writing: Promise<void> = Promise.resolve();
  #retry: PromiseWithResolvers<void> | undefined;
  #untold = 0;
  #toldAtMs = performance.now();
  #writeMs = 0;
  #ungranted = 0;
  #granted: PromiseWithResolvers<void> | undefined;
  readonly #isMetered: boolean;
  turn: HashTurn | undefined;

  constructor(id: number, isMetered: boolean) {
    this.#id = id;
    this.#isMetered = isMetered;
    this.#file.promise.catch(() => undefined);
    this.abort.signal.addEventListener('abort', () => {
      this.turn?.undo();
      this.#file.reject(ENDED);
      this.#retry?.reject(ENDED);
      this.#granted?.reject(ENDED);
    });
  }

  /** Sink of the reception. Writes come one after the other: those of one thread never meet at one file's lock. */
  write(position: number, bytes: readonly Uint8Array[]): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write(position, bytes));
    return this.#writing;
  }

  async #write(position: number, bytes: readonly Uint8Array[]): Promise<void> {
    if (!this.#hasAskedForFile) {
      this.#hasAskedForFile = true;
      say({ kind: 'open', id: this.#id });
    }
    const fd = (this.#fd ??= await this.#file.promise);
    for (const run of bytes) {
      for (let done = 0; done < run.length;) {
        this.abort.signal.throwIfAborted();
        try {
          const startedAtMs = performance.now();
          const written = writeSync(fd, run, done, run.length - done, position + done);
          done += written;
          this.#writeMs += performance.now() - startedAtMs;
        } catch (error) {
          this.#retry = Promise.withResolvers();
          say({ kind: 'stuck', id: this.#id, error: toWriteFailure(error) });
          await this.#retry.promise;
        }
      }
    }
  }

  /** Limiter of the reception: holds it until the limits have granted what it has read, and until the hash of the whole has come here. */
  take(bytes: number): Promise<void> | undefined {
    const granted = this.#isMetered ? this.#draw(bytes) : undefined;
    const turn = this.turn?.wait;
    return granted === undefined || turn === undefined
      ? (granted ?? turn)
      : Promise.all([granted, turn]).then(() => undefined);
  }

  #draw(bytes: number): Promise<void> | undefined {
    this.#untold += bytes;
    if (this.#untold >= DRAW_BYTES || performance.now() - this.#toldAtMs >= DRAW_MS) this.tell();
    if (this.#ungranted < DRAW_WINDOW_BYTES) return undefined;
    this.#granted ??= Promise.withResolvers();
    return this.#granted.promise;
  }

  tell(): void {
    if (this.#untold === 0) return;
    say({ kind: 'drawn', id: this.#id, bytes: this.#untold, writeMs: this.#writeMs });
    this.#writeMs = 0;
    this.#toldAtMs = performance.now();
    this.#ungranted += this.#untold;
    this.#untold = 0;
  }

  opened(fd: number): void {
    this.#file.resolve(fd);
  }

  retry(): void {
    this.#retry?.resolve();
  }

  granted(bytes: number): void {
    this.#ungranted -= bytes;
    if (this.#ungranted >= DRAW_WINDOW_BYTES) return;
    this.#granted?.resolve();
    this.#granted = undefined;
  }
}

const transfers = new Map<number, Transfer>();
const hashes = new Map<number, { readonly hash: RunningHash; readonly turns: HashTurns; readonly taskId: string }>();
/** Of the latest hash of each task. */
const turnsByTask = new Map<string, HashTurns>();

async function fetch({ id, request, sha256, isMetered }: Extract<ToReceiver, { kind: 'fetch' }>): Promise<void> {
  const transfer = new Transfer(id, isMetered);
  transfers.set(id, transfer);
  const { offset } = request.expected;
  using coming = turnsByTask.get(request.taskId)?.expect(offset);
  let hasBegun = false;
  const onBytes = (run: Uint8Array): void => {
    if (!hasBegun) {
      hasBegun = true;
      transfer.turn = turnsByTask.get(request.taskId)?.begin(offset);
      coming?.[Symbol.dispose]();
    }
    transfer.turn?.update(run);
  };
  try {
    const { signal } = transfer.abort;
    const piece = await client.fetchPiece(request, transfer, { signal, sha256, onBytes, limiters: [transfer] });
    transfer.turn?.end();
    transfer.tell();
    say({ kind: 'done', id, piece });
  } catch (error) {
    transfer.turn?.undo();
    say({ kind: 'failed', id, failure: toFetchFailure(error) });
  } finally {
    transfers.delete(id);
  }
}

async function advance(number: number, end: number): Promise<RunningHash | undefined> {
  const known = hashes.get(number);
  try {
    await known?.hash.advance(end);
  } finally {
    known?.turns.moveOn();
  }
  return known?.hash;
}

async function hashPart({ algorithm, fd, start, end }: Extract<ToReceiver, { kind: 'hashPart' }>): Promise<string> {
  if (algorithm === 'crc32') {
    let crc = 0;
    for await (const run of readInTurns(fd, start, end)) crc = crc32(run, crc);
    return `${crc}`;
  }
  const hash = createHash(algorithm);
  for await (const run of readInTurns(fd, start, end)) hash.update(run);
  return hash.digest('hex');
}

function answer(call: number, work: () => Promise<string | undefined> | string | undefined): void {
  Promise.resolve()
    .then(work)
    .then(
      (digest) => say({ kind: 'answer', call, ...(digest === undefined ? {} : { digest }) }),
      (error: unknown) => say({ kind: 'answer', call, error: toWriteFailure(error) }),
    );
}

port.on('message', (message: ToReceiver) => {
  switch (message.kind) {
    case 'fetch':
      void fetch(message);
      return;
    case 'abort':
      transfers.get(message.id)?.abort.abort(ENDED);
      return;
    case 'file':
      transfers.get(message.id)?.opened(message.fd);
      return;
    case 'retry':
      transfers.get(message.id)?.retry();
      return;
    case 'granted':
      transfers.get(message.id)?.granted(message.bytes);
      return;
    case 'hash': {
      const hash = new RunningHash(message.algorithm, message.fd);
      const turns = new HashTurns(hash);
      hashes.set(message.hash, { hash, turns, taskId: message.taskId });
      turnsByTask.set(message.taskId, turns);
      return;
    }
    case 'hashTo':
      answer(message.call, async () => {
        await advance(message.hash, message.end);
        return undefined;
      });
      return;
    case 'hashAgainFrom': {
      const known = hashes.get(message.hash);
      known?.hash.forget(message.position);
      known?.turns.moveOn();
      return;
    }
    case 'digest':
      answer(message.call, async () => (await advance(message.hash, message.end))?.digest());
      return;
    case 'closeHash': {
      const closed = hashes.get(message.hash);
      hashes.delete(message.hash);
      if (closed !== undefined && turnsByTask.get(closed.taskId) === closed.turns) turnsByTask.delete(closed.taskId);
      closed?.hash.close();
      closed?.turns.letAllGo();
      answer(message.call, () => undefined);
      return;
    }
    case 'hashPart':
      answer(message.call, () => hashPart(message));
      return;
    default:
      message satisfies never;
  }
});
