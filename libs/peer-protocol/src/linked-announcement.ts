import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { common, swarm } from '@d7y/api';
import type { PieceReport } from '@d7y/piece';
import { MAX_PIECE_COUNT, PieceSet } from '@d7y/piece';
import { AsyncQueue, currentTraceparent } from '@d7y/service-kit';
import type { Announcement, Instruction, PeerRegistration } from './announcement.ts';
import type { LinkedPeers } from './linked-peers.ts';
import type { Parent } from './parent.ts';
import { parentFaultOf } from './parent-offer.ts';
import { piecesOf, toPieceBitmap } from './piece-bitmap.ts';
import { publicHeadersOf } from './registration-message.ts';

/** Offers that nobody reads are a fault of ours. */
const MAX_QUEUED_INSTRUCTIONS = 64;
/** More parents in one offer are not looked at, … */
const MAX_PARENTS = 64;
/** … and more are not remembered. */
const MAX_KNOWN_PARENTS = 1_024;

interface Delivery {
  readonly parentNumber: number;
  readonly parentId: string;
  pieces: number;
  bytes: number;
  durationMs: number;
}

/**
 * One download, as told to a scheduler over the stream of its daemon: the same conversation as AnnouncePeer, in fewer words. Pieces are
 * told a few times a second, all together.
 */
export class LinkedAnnouncement implements Announcement {
  readonly number: number;
  readonly #peers: LinkedPeers;
  readonly #registration: PeerRegistration;
  readonly #signal: AbortSignal;
  readonly #instructions = new AsyncQueue<Instruction>(MAX_QUEUED_INSTRUCTIONS);
  readonly #parents = new Map<number, Parent>();
  readonly #numbers = new Map<string, number>();
  /** Told, or about to be. */
  readonly #told = new PieceSet();
  #untold: number[] = [];
  #deliveries = new Map<string, Delivery>();
  #closing: PromiseWithResolvers<void> | undefined;
  #hotPieces: PieceSet | undefined;
  #isOver = false;
  readonly #onAbort = (): void => this.#breakOff(this.#signal.reason);

  constructor(peers: LinkedPeers, number: number, registration: PeerRegistration, signal: AbortSignal) {
    this.#peers = peers;
    this.number = number;
    this.#registration = registration;
    this.#signal = signal;
  }

  get instructions(): AsyncIterable<Instruction> {
    return this.#instructions;
  }

  get hotPieces(): PieceSet | undefined {
    return this.#hotPieces;
  }

  /** Says who is there. */
  register(): void {
    if (this.#signal.aborted) return this.break(this.#signal.reason);
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#peers.attach(this);
    for (const number of this.#registration.heldPieces ?? []) this.#told.add(number);
    const value = toRegisterMessage(this.number, this.#registration, this.#told);
    this.#peers.say({ case: 'register', value: create(swarm.RegisterSchema, value) });
  }

  started(): void {
    this.#start(false);
  }

  backToSourceStarted(): void {
    this.#start(true);
  }

  pieceFinished({ number, length, costMs, trafficType, parentId }: PieceReport): void {
    if (this.#isOver || !this.#told.add(number)) return;
    this.#untold.push(number);
    if (trafficType !== 'localPeer') this.#count(trafficType === 'remotePeer' ? parentId : undefined, length, costMs);
    if (this.#untold.length >= this.#peers.limits.maxBatchPieces) this.tellPieces();
    else this.#peers.tellSoon(this);
  }

  pieceFailed(pieceNumber: number | undefined, parentId: string): void {
    const value = {
      peerNumber: this.number,
      ...this.#named(parentId),
      ...(pieceNumber !== undefined && { pieceNumber }),
    };
    this.#say({ case: 'pieceFailed', value: create(swarm.PieceFailedSchema, value) });
  }

  reschedule(parents: readonly Parent[], reason: string): void {
    this.tellPieces();
    const named = parents.map(({ peerId }) => this.#named(peerId));
    const value = create(swarm.RescheduleSchema, {
      peerNumber: this.number,
      parentNumbers: named.flatMap(({ parentNumber }) => (parentNumber === 0 ? [] : [parentNumber])),
      parentIds: named.flatMap(({ parentId }) => (parentId === '' ? [] : [parentId])),
      reason,
    });
    this.#say({ case: 'reschedule', value });
  }

  finished(): Promise<void> {
    return this.#finish(false);
  }

  backToSourceFinished(): Promise<void> {
    return this.#finish(true);
  }

  failed(reason: string): Promise<void> {
    return this.#end({ case: 'failed', value: create(swarm.FailedSchema, { peerNumber: this.number, reason }) });
  }

  backToSourceFailed(reason: string, origin?: { status: number }): Promise<void> {
    const status = origin === undefined ? {} : { originStatus: origin.status };
    const value = create(swarm.FailedSchema, { peerNumber: this.number, fromOrigin: true, reason, ...status });
    return this.#end({ case: 'failed', value });
  }

  abort(): void {
    this.#breakOff(undefined);
  }

  /** Tells of the pieces that have come since the last time. */
  tellPieces(): void {
    if (this.#untold.length === 0) return;
    const value = create(swarm.HavePiecesSchema, { peerNumber: this.number, ...this.#takeUntold() });
    this.#say({ case: 'havePieces', value });
  }

  /** Whom to fetch from. */
  offered(offer: swarm.Offer, hostOf: (number: number) => swarm.OfferedHost | undefined): void {
    for (const introduced of offer.introduced) this.#introduce(introduced, offer, hostOf(introduced.hostNumber));
    const parents = offer.parents.slice(0, MAX_PARENTS).flatMap(({ number, role }) => {
      const parent = this.#parents.get(number);
      const isFallback = role === swarm.ParentRole.FALLBACK;
      return parent === undefined ? [] : [isFallback ? { ...parent, isFallback } : parent];
    });
    this.#instruct({ kind: 'parents', parents });
  }

  /** Which pieces few have. */
  toldHotPieces(pieces: swarm.PieceBitmap | undefined): void {
    this.#hotPieces = new PieceSet(plausible(piecesOf(pieces)));
  }

  /** Leave to fetch from the origin. */
  granted(reason: string): void {
    this.#instruct({ kind: 'backToSource', reason: reason || undefined });
  }

  noted(as: swarm.NotedAs): void {
    if (as === swarm.NotedAs.EMPTY) this.#instruct({ kind: 'empty' });
    else if (as === swarm.NotedAs.METADATA_ONLY) this.#instruct({ kind: 'metadataOnly' });
    else if (as === swarm.NotedAs.ENDED) this.#over();
  }

  /** Nothing more will be said or heard. Last words that were said already count as heard. */
  break(error: unknown): void {
    if (this.#closing === undefined) this.#instructions.fail(error instanceof Error ? error : new Error(String(error)));
    this.#over();
  }

  #start(fromOrigin: boolean): void {
    const value = create(swarm.StartedSchema, { peerNumber: this.number, fromOrigin });
    this.#say({ case: 'started', value });
  }

  #finish(fromOrigin: boolean): Promise<void> {
    const value = create(swarm.FinishedSchema, { peerNumber: this.number, fromOrigin, ...this.#takeUntold() });
    return this.#end({ case: 'finished', value });
  }

  /** Says the last words; resolves when they have been noted, or time is up. */
  async #end(request: Parameters<LinkedPeers['say']>[0]): Promise<void> {
    if (this.#isOver) return;
    const closing = (this.#closing ??= Promise.withResolvers<void>());
    this.#say(request);
    const timer = setTimeout(() => this.#over(), this.#peers.limits.closeTimeoutMs);
    timer.unref();
    await closing.promise;
    clearTimeout(timer);
  }

  #breakOff(error: unknown): void {
    if (this.#isOver) return;
    this.#say({ case: 'leave', value: create(swarm.LeaveSchema, { peerNumber: this.number }) });
    if (error === undefined) this.#over();
    else this.break(error);
  }

  #over(): void {
    this.#isOver = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#peers.detach(this);
    this.#instructions.close();
    this.#closing?.resolve();
  }

  #instruct(instruction: Instruction): void {
    if (this.#isOver || this.#closing !== undefined) return;
    try {
      this.#instructions.push(instruction);
    } catch (error) {
      this.#breakOff(error);
    }
  }

  #say(request: Parameters<LinkedPeers['say']>[0]): void {
    if (!this.#isOver) this.#peers.say(request);
  }

  #named(parentId: string): { parentNumber: number; parentId: string } {
    const parentNumber = this.#numbers.get(parentId) ?? 0;
    return { parentNumber, parentId: parentNumber === 0 ? parentId : '' };
  }

  #count(parentId: string | undefined, bytes: number, durationMs: number): void {
    const key = parentId ?? '';
    let delivery = this.#deliveries.get(key);
    if (delivery === undefined) {
      delivery = { ...this.#named(key), pieces: 0, bytes: 0, durationMs: 0 };
      this.#deliveries.set(key, delivery);
    }
    delivery.pieces++;
    delivery.bytes += bytes;
    delivery.durationMs += durationMs;
  }

  #takeUntold(): Pick<MessageInitShape<typeof swarm.HavePiecesSchema>, 'pieces' | 'deliveries'> {
    if (this.#untold.length === 0) return {};
    const pieces = toPieceBitmap(this.#untold.sort((a, b) => a - b));
    const deliveries = [...this.#deliveries.values()].map(({ bytes, durationMs, ...rest }) => ({
      ...rest,
      bytes: BigInt(bytes),
      durationMs: BigInt(Math.max(0, Math.round(durationMs))),
    }));
    this.#untold = [];
    this.#deliveries = new Map();
    return { pieces, deliveries };
  }

  #introduce(
    { number, peerId, isPrivate, isComplete }: swarm.OfferedParent,
    offer: swarm.Offer,
    host: swarm.OfferedHost | undefined,
  ): void {
    const fault =
      host === undefined ? 'it has no host' : parentFaultOf({ peerId, hostId: host.id, ip: host.ip, port: host.port });
    if (host === undefined || fault !== undefined || this.#parents.size >= MAX_KNOWN_PARENTS) {
      this.#peers.logger.warn(
        {
          scheduler: this.#peers.address,
          taskId: this.#registration.taskId,
          parent: peerId,
          reason: fault ?? 'there are too many',
        },
        'the scheduler offered a parent that cannot be used',
      );
      return;
    }
    this.#numbers.set(peerId, number);
    this.#parents.set(number, {
      peerId,
      hostId: host.id,
      ip: host.ip,
      port: host.port,
      isSeed: host.isSeed,
      idc: host.idc || undefined,
      location: host.location || undefined,
      isPrivate,
      isComplete,
      contentLength: safeLength(offer.contentLength),
      pieceLength: safeLength(offer.pieceLength),
      // Enough for a scheduler that is asked over AnnouncePeer later.
      offer: create(common.PeerSchema, { id: peerId }),
    });
  }
}

function toRegisterMessage(
  peerNumber: number,
  registration: PeerRegistration,
  held: PieceSet,
): MessageInitShape<typeof swarm.RegisterSchema> {
  const { taskId, peerId, priority, contentLength, pieceLength, range, needBackToSource, metadataOnly } = registration;
  const traceparent = currentTraceparent();
  return {
    ...{ peerNumber, taskId, peerId, priority, needBackToSource, metadataOnly },
    source: toSourceMessage(registration),
    ...(contentLength !== undefined && { contentLength: BigInt(contentLength) }),
    ...(pieceLength !== undefined && { pieceLength: BigInt(pieceLength) }),
    ...(range !== undefined && { range: { start: BigInt(range.start), length: BigInt(range.length) } }),
    ...(held.size > 0 && { held: toPieceBitmap(held) }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** Where the content comes from, without secrets. */
export function toSourceMessage(
  source: Pick<PeerRegistration, 'url' | 'digest' | 'tag' | 'application' | 'filteredQueryParams'> &
    Partial<
      Pick<
        PeerRegistration,
        'requestHeaders' | 'requestedPieceLength' | 'contentForCalculatingTaskId' | 'enableTaskIdBasedBlobDigest'
      >
    >,
): MessageInitShape<typeof swarm.TaskSourceSchema> {
  return {
    url: source.url,
    digest: source.digest ?? '',
    tag: source.tag ?? '',
    application: source.application ?? '',
    filteredQueryParams: [...source.filteredQueryParams],
    requestHeaders: publicHeadersOf(source.requestHeaders ?? {}),
    contentForCalculatingTaskId: source.contentForCalculatingTaskId ?? '',
    enableTaskIdBasedBlobDigest: source.enableTaskIdBasedBlobDigest ?? false,
    ...(source.requestedPieceLength !== undefined && { requestedPieceLength: BigInt(source.requestedPieceLength) }),
  };
}

/** Without what no task can have. */
function* plausible(pieceNumbers: Iterable<number>): Generator<number, void, undefined> {
  for (const pieceNumber of pieceNumbers) if (pieceNumber < MAX_PIECE_COUNT) yield pieceNumber;
}

/** 0 stands for a length nobody told. */
function safeLength(value: bigint): number | undefined {
  const number = Number(value);
  return number > 0 && Number.isSafeInteger(number) ? number : undefined;
}
