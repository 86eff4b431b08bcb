import type { Parent } from '@d7y/peer-protocol';

/** Lines kept of one download; the oldest go first. */
const MAX_EVENTS = 200;
/** Parents kept of one download. */
const MAX_PARENTS = 256;

/** A parent of a download, and why it is used or not. */
export interface ParentStory {
  readonly hostId: string;
  readonly peerId: string;
  /** `ip:port` of its upload service. */
  readonly address: string;
  readonly isSeed: boolean;
  readonly idc: string | undefined;
  readonly location: string | undefined;
  /** `asked`: pieces are or were fetched from it; `passedOver`: never asked; `dropped`: asked, and then no more. */
  readonly state: 'asked' | 'passedOver' | 'dropped';
  /** Why it was passed over or dropped. */
  readonly why: string | undefined;
  /** Pieces it said it has. */
  readonly announcedPieces: number;
  readonly receivedPieces: number;
  readonly receivedBytes: number;
  /** Pieces that were asked of it in vain. */
  readonly failedPieces: number;
}

/** What happened in a download. */
export interface DownloadStory {
  /** Unix time in ms. */
  readonly startedAtMs: number;
  readonly endedAtMs: number | undefined;
  readonly outcome: 'running' | 'succeeded' | 'failed' | 'abandoned';
  /** Bytes by where this run got them. */
  readonly originBytes: number;
  readonly parents: readonly ParentStory[];
  /** What happened when, oldest first; `atMs` counts from the start. */
  readonly events: readonly { readonly atMs: number; readonly what: string }[];
}

interface ParentEntry {
  readonly parent: Parent;
  state: ParentStory['state'];
  why: string | undefined;
  announcedPieces: number;
  receivedPieces: number;
  receivedBytes: number;
  failedPieces: number;
}

/** Takes down what a download does, so that it can be told afterwards. Bounded, and cheap enough to be always on. */
export class Journal {
  readonly #clock: () => number;
  readonly #startedAtMs: number;
  readonly #parents = new Map<string, ParentEntry>();
  readonly #events: { atMs: number; what: string }[] = [];
  #originBytes = 0;
  #endedAtMs: number | undefined;
  #outcome: DownloadStory['outcome'] = 'running';

  /** @param clock Unix time in ms */
  constructor(clock: () => number) {
    this.#clock = clock;
    this.#startedAtMs = clock();
  }

  /** One line for people, without secrets. */
  note(what: string): void {
    if (this.#events.length >= MAX_EVENTS) this.#events.shift();
    this.#events.push({ atMs: this.#clock() - this.#startedAtMs, what });
  }

  asked(parent: Parent): void {
    const entry = this.#entry(parent);
    if (entry === undefined) return;
    entry.state = 'asked';
    entry.why = undefined;
  }

  /** A parent that was offered and is not asked. */
  passedOver(parent: Parent, why: string): void {
    const entry = this.#entry(parent);
    if (entry === undefined || entry.state !== 'passedOver') return;
    entry.why = why;
  }

  dropped(parent: Parent, why: string): void {
    const entry = this.#entry(parent);
    if (entry === undefined) return;
    entry.state = 'dropped';
    entry.why = why;
    this.note(`parent ${parent.hostId} is asked no more: ${why}`);
  }

  announced(parent: Parent): void {
    const entry = this.#entry(parent);
    if (entry !== undefined) entry.announcedPieces++;
  }

  received(parent: Parent, bytes: number): void {
    const entry = this.#entry(parent);
    if (entry === undefined) return;
    entry.receivedPieces++;
    entry.receivedBytes += bytes;
  }

  failed(parent: Parent): void {
    const entry = this.#entry(parent);
    if (entry !== undefined) entry.failedPieces++;
  }

  receivedFromOrigin(bytes: number): void {
    this.#originBytes += bytes;
  }

  end(outcome: Exclude<DownloadStory['outcome'], 'running'>): void {
    this.#outcome = outcome;
    this.#endedAtMs = this.#clock();
  }

  story(): DownloadStory {
    return {
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#endedAtMs,
      outcome: this.#outcome,
      originBytes: this.#originBytes,
      parents: [...this.#parents.values()].map(({ parent, ...facts }) => ({
        hostId: parent.hostId,
        peerId: parent.peerId,
        address: parent.ip.includes(':') ? `[${parent.ip}]:${parent.port}` : `${parent.ip}:${parent.port}`,
        isSeed: parent.isSeed,
        idc: parent.idc,
        location: parent.location,
        ...facts,
      })),
      events: [...this.#events],
    };
  }

  #entry(parent: Parent): ParentEntry | undefined {
    const known = this.#parents.get(parent.peerId);
    if (known !== undefined || this.#parents.size >= MAX_PARENTS) return known;
    const entry: ParentEntry = {
      parent,
      state: 'passedOver',
      why: undefined,
      announcedPieces: 0,
      receivedPieces: 0,
      receivedBytes: 0,
      failedPieces: 0,
    };
    this.#parents.set(parent.peerId, entry);
    return entry;
  }
}
