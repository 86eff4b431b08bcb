// Who owns what: a LinkedPeers belongs to one stream of a daemon with one scheduler and ends with it. It owns the numbers by which peers
// and hosts are called there, the conversations of all downloads under way, and the one timer by which their pieces are told together.
import { Code } from '@connectrpc/connect';
import { swarm } from '@d7y/api';
import type { Logger } from '@d7y/service-kit';
import type { Announcement, PeerRegistration } from './announcement.ts';
import { LinkedAnnouncement } from './linked-announcement.ts';
import { RpcError } from './rpc-error.ts';

/** What is said over the stream. */
export type LinkRequestCase = NonNullable<swarm.LinkRequest['request']>;
type Response = swarm.LinkResponse['response'];

/** Times and bounds of the conversations on one stream. */
export interface LinkedPeersLimits {
  /** Pieces wait so long for others to be told with. */
  readonly batchMs: number;
  /** … and no more than so many of one download. */
  readonly maxBatchPieces: number;
  /** From the last words until the scheduler has taken note. */
  readonly closeTimeoutMs: number;
}

export const LINKED_PEERS_LIMITS: LinkedPeersLimits = { batchMs: 150, maxBatchPieces: 128, closeTimeoutMs: 3_000 };

/** A scheduler names a host once, and again after so many others have been named: it remembers half as many. */
const MAX_KNOWN_HOSTS = 512;

/** How the stream is spoken on. */
export interface LinkedPeersInit {
  /** `host:port` of the scheduler. */
  readonly address: string;
  /** Says something, in order; lost when the stream does not stand any more. */
  readonly say: (request: LinkRequestCase) => void;
  readonly limits?: Partial<LinkedPeersLimits> | undefined;
  readonly logger: Logger;
}

/** All downloads of this daemon, as told to one scheduler of ours over its one stream. */
export class LinkedPeers {
  readonly address: string;
  readonly limits: LinkedPeersLimits;
  readonly logger: Logger;
  readonly say: (request: LinkRequestCase) => void;
  readonly #peers = new Map<number, LinkedAnnouncement>();
  readonly #hosts = new Map<number, swarm.OfferedHost>();
  readonly #untold = new Set<LinkedAnnouncement>();
  #lastNumber = 0;
  #timer: NodeJS.Timeout | undefined;
  #brokenBy: Error | undefined;

  constructor({ address, say, limits, logger }: LinkedPeersInit) {
    this.address = address;
    this.limits = { ...LINKED_PEERS_LIMITS, ...limits };
    this.logger = logger;
    this.say = say;
  }

  /** Downloads under way. */
  get size(): number {
    return this.#peers.size;
  }

  /** Registers a download. Never throws: trouble shows in `instructions`. Aborting the signal breaks it off. */
  announcePeer(registration: PeerRegistration, { signal }: { signal: AbortSignal }): Announcement {
    const announcement = new LinkedAnnouncement(this, ++this.#lastNumber, registration, signal);
    if (this.#brokenBy !== undefined) announcement.break(this.#brokenBy);
    else announcement.register();
    return announcement;
  }

  /** Takes what the scheduler says. @returns false when it is not about downloads */
  hear(response: Response): boolean {
    switch (response.case) {
      case 'offer': {
        const offer = response.value;
        for (const host of offer.hosts) this.#learnHost(host);
        this.#peers.get(offer.peerNumber)?.offered(offer, (number) => this.#hosts.get(number));
        return true;
      }
      case 'originGrant':
        this.#peers.get(response.value.peerNumber)?.granted(response.value.reason);
        return true;
      case 'noted':
        this.#peers.get(response.value.peerNumber)?.noted(response.value.as);
        return true;
      case 'hotPieces':
        this.#peers.get(response.value.peerNumber)?.toldHotPieces(response.value.pieces);
        return true;
      case 'refusal': {
        const { peerNumber, reason, description } = response.value;
        this.#peers.get(peerNumber)?.break(new RpcError(this.address, 'Link', codeOf(reason), description));
        return true;
      }
      default:
        return false;
    }
  }

  /** The stream is over, or the scheduler is about to be: all conversations break. */
  break(error: unknown): void {
    this.#brokenBy ??= RpcError.from(this.address, 'Link', error);
    clearTimeout(this.#timer);
    this.#untold.clear();
    for (const peer of [...this.#peers.values()]) peer.break(this.#brokenBy);
  }

  /** For announcements: it speaks, and listens, under its number. */
  attach(peer: LinkedAnnouncement): void {
    this.#peers.set(peer.number, peer);
  }

  /** For announcements: its last word is said and answered, or it is broken off. */
  detach(peer: LinkedAnnouncement): void {
    this.#peers.delete(peer.number);
    this.#untold.delete(peer);
  }

  /** For announcements: it has pieces to tell of, soon or at once. */
  tellSoon(peer: LinkedAnnouncement): void {
    this.#untold.add(peer);
    this.#timer ??= setTimeout(() => this.#tell(), this.limits.batchMs).unref();
  }

  #tell(): void {
    this.#timer = undefined;
    const untold = [...this.#untold];
    this.#untold.clear();
    for (const peer of untold) peer.tellPieces();
  }

  #learnHost(host: swarm.OfferedHost): void {
    this.#hosts.set(host.number, host);
    if (this.#hosts.size <= MAX_KNOWN_HOSTS) return;
    const [oldest] = this.#hosts.keys();
    if (oldest !== undefined) this.#hosts.delete(oldest);
  }
}

const CODES: Readonly<Partial<Record<swarm.RefusalReason, Code>>> = {
  [swarm.RefusalReason.NOT_FOUND]: Code.NotFound,
  [swarm.RefusalReason.FAILED_PRECONDITION]: Code.FailedPrecondition,
  [swarm.RefusalReason.RESOURCE_EXHAUSTED]: Code.ResourceExhausted,
};

const codeOf = (reason: swarm.RefusalReason): Code => CODES[reason] ?? Code.Unknown;
