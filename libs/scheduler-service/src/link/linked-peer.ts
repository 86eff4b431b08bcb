import { create } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import { toPieceBitmap } from '@d7y/peer-protocol';
import type { ReadonlyPieceSet } from '@d7y/piece';
import type { PeerView, RefusalCode } from '@d7y/swarm';
import type { Context } from '@opentelemetry/api';
import type { WireWriter } from '../messages/wire-writer.ts';
import type { ParentToOffer, PeerChannel } from '../scheduling/peer-channel.ts';
import { encodedResponse, LinkOfferWriter, writeNoted } from './answer-writer.ts';
import type { ToldHosts } from './told-hosts.ts';

/** A child remembers twice as many parents. */
const MAX_INTRODUCED = 512;

const REFUSAL_REASONS: Readonly<Record<RefusalCode, swarm.RefusalReason>> = {
  notFound: swarm.RefusalReason.NOT_FOUND,
  failedPrecondition: swarm.RefusalReason.FAILED_PRECONDITION,
  resourceExhausted: swarm.RefusalReason.RESOURCE_EXHAUSTED,
};

/** What a peer is to be told next; newer takes the place of older. */
type Due =
  | { readonly kind: 'offer'; readonly parents: readonly ParentToOffer[] }
  | { readonly kind: 'grant'; readonly reason: string }
  | { readonly kind: 'noted'; readonly as: swarm.NotedAs }
  | { readonly kind: 'refusal'; readonly reason: swarm.RefusalReason; readonly description: string };

/** Whoever carries answers away. */
export interface LinkedPeerOwner {
  /** The peer has something to hear. */
  due(peer: LinkedPeer): void;
  /** Nothing more will be heard from, or said to, this peer but what is due. */
  over(peer: LinkedPeer): void;
}

/**
 * One peer of a daemon that speaks over its link. What it is to be told is not queued: it hears the newest when the stream takes the next
 * message. Parents are described to it once and then go by their numbers.
 */
export class LinkedPeer implements PeerChannel {
  /** By which the daemon calls it on this stream. */
  readonly number: number;
  readonly peerId: string;
  readonly trace: Context | undefined;
  /** From the registration on. */
  peer: PeerView | undefined;
  /** When the question was asked that is open; undefined when none is. */
  askedAtMs: number | undefined;
  /** Among those of its stream that have something to hear: the outbox's note. */
  isInLine = false;
  /** Called with the answer to an open question. */
  onAnswer: ((askedAtMs: number, kind: Due['kind'], parentCount: number) => void) | undefined;
  readonly #owner: LinkedPeerOwner;
  /** Parents in the order of their numbers, but for the first `#forgotten`. */
  #introduced: PeerView[] = [];
  #forgotten = 0;
  #due: Due | undefined;
  #hotPieces: ReadonlyPieceSet | undefined;

  constructor(owner: LinkedPeerOwner, number: number, peerId: string, trace: Context | undefined) {
    this.#owner = owner;
    this.number = number;
    this.peerId = peerId;
    this.trace = trace;
  }

  offerParents(parents: readonly ParentToOffer[]): void {
    this.#tell({ kind: 'offer', parents });
  }

  grantOrigin(reason: string): void {
    this.#tell({ kind: 'grant', reason });
  }

  tellHotPieces(pieces: ReadonlyPieceSet): void {
    this.#hotPieces = pieces;
    this.#owner.due(this);
  }

  answerEmpty(): void {
    this.#tell({ kind: 'noted', as: swarm.NotedAs.EMPTY });
  }

  answerMetadataOnly(): void {
    this.#tell({ kind: 'noted', as: swarm.NotedAs.METADATA_ONLY });
  }

  refuse(code: RefusalCode, description: string): void {
    this.#owner.over(this);
    this.#tell({ kind: 'refusal', reason: REFUSAL_REASONS[code], description });
  }

  supersede(): void {
    this.#owner.over(this);
  }

  /** Its last word was heard. */
  noteEnd(): void {
    this.#owner.over(this);
    this.#tell({ kind: 'noted', as: swarm.NotedAs.ENDED });
  }

  /** Id of a parent that this peer calls by its number. */
  parentIdOf(parentNumber: number): string | undefined {
    return this.#introduced[parentNumber - 1 - this.#forgotten]?.id;
  }

  /** There is more to hear than the next message. */
  get isDue(): boolean {
    return this.#due !== undefined || this.#hotPieces !== undefined;
  }

  /** Writes what the peer is to hear, as a LinkResponse; to be called as long as it `isDue`. */
  writeDue(writer: WireWriter, hosts: ToldHosts): void {
    const due = this.#due;
    this.#due = undefined;
    const peerNumber = this.number;
    switch (due?.kind) {
      case undefined:
        this.#writeHotPieces(writer);
        return;
      case 'offer':
        this.#writeOffer(writer, due.parents, hosts);
        return;
      case 'grant': {
        const value = create(swarm.OriginGrantSchema, { peerNumber, reason: due.reason });
        writer.raw(encodedResponse({ case: 'originGrant', value }));
        return;
      }
      case 'noted':
        writeNoted(writer, peerNumber, due.as);
        return;
      case 'refusal': {
        const { reason, description } = due;
        const value = create(swarm.RefusalSchema, { peerNumber, reason, description });
        writer.raw(encodedResponse({ case: 'refusal', value }));
        return;
      }
      default:
        due satisfies never;
    }
  }

  #writeHotPieces(writer: WireWriter): void {
    const pieces = this.#hotPieces;
    this.#hotPieces = undefined;
    if (pieces === undefined) return;
    const value = create(swarm.HotPiecesSchema, { peerNumber: this.number, pieces: bitmapOf(pieces) });
    writer.raw(encodedResponse({ case: 'hotPieces', value }));
  }

  #tell(due: Due): void {
    this.#due = due;
    this.#owner.due(this);
    const { askedAtMs } = this;
    if (askedAtMs === undefined) return;
    this.askedAtMs = undefined;
    this.onAnswer?.(askedAtMs, due.kind, due.kind === 'offer' ? due.parents.length : 0);
  }

  #writeOffer(writer: WireWriter, parents: readonly ParentToOffer[], hosts: ToldHosts): void {
    const offer = new LinkOfferWriter(writer, this.number);
    for (const { peer: parent, role } of parents) {
      const known = this.#introduced.length === 0 ? -1 : this.#introduced.indexOf(parent);
      let number = this.#forgotten + known + 1;
      if (known < 0) {
        number = this.#forgotten + this.#introduced.push(parent);
        let hostNumber = hosts.numberOf(parent.host);
        if (hostNumber === undefined) {
          hostNumber = hosts.tell(parent.host);
          offer.host(hostNumber, parent.host.facts);
        }
        offer.introduced(number, hostNumber, parent);
      }
      offer.parent(number, role);
    }
    offer.end(this.peer?.task.size);
    if (this.#introduced.length > MAX_INTRODUCED) {
      this.#forgotten += MAX_INTRODUCED / 2;
      this.#introduced = this.#introduced.slice(MAX_INTRODUCED / 2);
    }
  }
}

/** Of what many peers are told alike. */
const bitmaps = new WeakMap<ReadonlyPieceSet, swarm.PieceBitmap>();

function bitmapOf(pieces: ReadonlyPieceSet): swarm.PieceBitmap {
  let bitmap = bitmaps.get(pieces);
  if (bitmap === undefined) bitmaps.set(pieces, (bitmap = create(swarm.PieceBitmapSchema, toPieceBitmap(pieces))));
  return bitmap;
}
