import { Worker } from 'node:worker_threads';
import type { Logger } from '@d7y/service-kit';
import { PieceReceiverLostError } from './errors.ts';
import { pieceAddressOf } from './piece-address.ts';
import type { FetchPieceOptions, PieceRequest, PieceSink, ReceivedPiece, SinkFile } from './piece-transfer.ts';
import type { FromReceiver, ReceiverSettings, ToReceiver } from './receiver-messages.ts';
import { fromFetchFailure, fromWriteFailure } from './receiver-messages.ts';

/** A bundle has the thread's code beside its own; the sources have it in a file of the same kind. */
const SUFFIX = /\.[a-z]+$/.exec(import.meta.url)?.[0] ?? '.mjs';
const ENTRY = new URL(`./receiver-thread${SUFFIX}`, import.meta.url);
/** What the thread keeps lies outside its heap. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 4 };

/** Made once: an abort without a reason makes a DOMException, with a stack, for every piece. */
const ENDED = new Error('the transfer has ended');

/** One transfer, as the main thread knows it. */
interface Transfer {
  readonly request: PieceRequest;
  readonly sink: PieceSink;
  readonly options: FetchPieceOptions;
  readonly settled: PromiseWithResolvers<ReceivedPiece>;
  file: SinkFile | undefined;
  /** Opening the file, or asking whether to try a write again: nothing settles before it is over. */
  work: Promise<void>;
  /** Of the sink or a limit; tells more than what the thread says. */
  failure: { readonly error: unknown } | undefined;
  readonly limits: AbortController;
  readonly waits: Set<Promise<unknown>>;
}

/**
 * One thread that receives pieces, seen from the main thread. Owner of the thread, and of the files of transfers under way: they are closed
 * when the thread has said that it will not write any more, or is gone.
 */
export class Receiver implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #transfers = new Map<number, Transfer>();
  readonly #calls = new Map<number, PromiseWithResolvers<string | undefined>>();
  readonly #gone = Promise.withResolvers<void>();
  #lost: PieceReceiverLostError | undefined;
  #nextId = 0;

  constructor(settings: ReceiverSettings, { logger, onGone }: { logger: Logger; onGone: () => void }) {
    this.#worker = new Worker(ENTRY, {
      name: 'piece-receiver',
      workerData: settings,
      // Left out where it can be: what is inherited may have options of V8, which nobody may name for a thread.
      ...(SUFFIX === '.ts' ? { execArgv: ['--conditions=@d7y/source'] } : {}),
      resourceLimits: RESOURCE_LIMITS,
    });
    this.#worker.unref();
    let cause: unknown;
    this.#worker.on('error', (error) => {
      cause = error;
      logger.error({ err: error }, 'the thread that receives pieces has failed');
    });
    this.#worker.on('exit', () => {
      this.#end(new PieceReceiverLostError({ cause }));
      onGone();
    });
    this.#worker.on('message', (message: FromReceiver) => this.#heard(message));
  }

  /** It can be given work. */
  get isAlive(): boolean {
    return this.#lost === undefined;
  }

  /** @see PieceClient.fetchPiece; the sink must have a file. @throws {PieceReceiverLostError} */
  async fetchPiece(request: PieceRequest, sink: PieceSink, options: FetchPieceOptions): Promise<ReceivedPiece> {
    const { signal, limiters = [], sha256 = false } = options;
    signal.throwIfAborted();
    if (this.#lost !== undefined) throw this.#lost;
    const id = this.#nextId++;
    const transfer: Transfer = {
      ...{ request, sink, options },
      settled: Promise.withResolvers(),
      file: undefined,
      work: Promise.resolve(),
      failure: undefined,
      limits: new AbortController(),
      waits: new Set(),
    };
    this.#transfers.set(id, transfer);
    const onAbort = (): void => this.#say({ kind: 'abort', id });
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.#say({ kind: 'fetch', id, request, sha256, isMetered: limiters.length > 0 });
      const piece = await transfer.settled.promise;
      await Promise.all(transfer.waits);
      signal.throwIfAborted();
      return piece;
    } catch (error) {
      signal.throwIfAborted();
      throw transfer.failure === undefined ? error : transfer.failure.error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#transfers.delete(id);
      transfer.limits.abort(ENDED);
      await transfer.work;
      transfer.file?.[Symbol.dispose]();
    }
  }

  /** Begins a hash. @returns its number for `advance`, `digest` and so on */
  hash(taskId: string, algorithm: string, fd: number): number {
    const hash = this.#nextId++;
    this.#say({ kind: 'hash', hash, taskId, algorithm, fd });
    return hash;
  }

  hashTo(hash: number, end: number): Promise<unknown> {
    return this.#call((call) => ({ kind: 'hashTo', hash, call, end }));
  }

  hashAgainFrom(hash: number, position: number): void {
    this.#say({ kind: 'hashAgainFrom', hash, position });
  }

  /** @param end of the content */
  async digest(hash: number, end: number): Promise<string> {
    return (await this.#call((call) => ({ kind: 'digest', hash, call, end }))) ?? '';
  }

  /** @see ContentHasher.hashPart. @throws {PieceReceiverLostError} */
  async hashPart(algorithm: string, fd: number, { start, end }: { start: number; end: number }): Promise<string> {
    return (await this.#call((call) => ({ kind: 'hashPart', call, algorithm, fd, start, end }))) ?? '';
  }

  /** Resolves when the file is not read any more. */
  async closeHash(hash: number): Promise<void> {
    await this.#call((call) => ({ kind: 'closeHash', hash, call })).catch(() => undefined);
  }

  /** Transfers under way fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
    await this.#gone.promise;
  }

  #say(message: ToReceiver): void {
    if (this.#lost === undefined) this.#worker.postMessage(message);
  }

  #call(message: (call: number) => ToReceiver): Promise<string | undefined> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    const call = this.#nextId++;
    const answer = Promise.withResolvers<string | undefined>();
    this.#calls.set(call, answer);
    this.#say(message(call));
    return answer.promise;
  }

  #heard(message: FromReceiver): void {
    if (message.kind === 'answer') {
      const answer = this.#calls.get(message.call);
      this.#calls.delete(message.call);
      if (message.error === undefined) answer?.resolve(message.digest);
      else answer?.reject(fromWriteFailure(message.error));
      return;
    }
    const { id } = message;
    const transfer = this.#transfers.get(id);
    if (transfer === undefined) return;
    switch (message.kind) {
      case 'open':
        this.#work(id, transfer, async () => {
          transfer.file = await (transfer.sink.openFile as () => Promise<SinkFile>)();
          return { kind: 'file', id, fd: transfer.file.fd };
        });
        return;
      case 'stuck':
        this.#work(id, transfer, async () => {
          await transfer.file?.recover(fromWriteFailure(message.error));
          return { kind: 'retry', id };
        });
        return;
      case 'drawn':
        transfer.file?.wrote(message.writeMs);
        this.#draw(id, transfer, message.bytes);
        return;
      case 'done':
        transfer.settled.resolve(message.piece);
        return;
      case 'failed': {
        const { taskId, number } = transfer.request;
        const attempt = { parentAddress: pieceAddressOf(transfer.request), taskId, pieceNumber: number };
        transfer.settled.reject(fromFetchFailure(message.failure, attempt));
        return;
      }
      default:
        message satisfies never;
    }
  }

  /** Does what the thread waits for; when that fails the transfer does. */
  #work(id: number, transfer: Transfer, work: () => Promise<ToReceiver>): void {
    transfer.work = work().then(
      (answer) => this.#say(answer),
      (error: unknown) => this.#fail(id, transfer, error),
    );
  }

  #draw(id: number, transfer: Transfer, bytes: number): void {
    const { limiters = [] } = transfer.options;
    const granted = (): void => this.#say({ kind: 'granted', id, bytes });
    try {
      const waits = limiters.flatMap((limiter) => limiter.take(bytes, { signal: transfer.limits.signal }) ?? []);
      if (waits.length === 0) return granted();
      const all = Promise.all(waits);
      transfer.waits.add(all);
      all.then(
        () => {
          transfer.waits.delete(all);
          granted();
        },
        (error: unknown) => this.#fail(id, transfer, error),
      );
    } catch (error) {
      this.#fail(id, transfer, error);
    }
  }

  /** The thread is told to stop; the transfer settles when it has. */
  #fail(id: number, transfer: Transfer, error: unknown): void {
    transfer.failure ??= { error };
    this.#say({ kind: 'abort', id });
  }

  #end(lost: PieceReceiverLostError): void {
    this.#lost = lost;
    for (const { settled } of this.#transfers.values()) settled.reject(lost);
    for (const { reject } of this.#calls.values()) reject(lost);
    this.#calls.clear();
    this.#gone.resolve();
  }
}
