// Who owns what: belongs to one link, and owns the registrations on it that wait for their turn, with what is said of their peers meanwhile.
import type { PeerRequest } from './peer-desk.ts';

/** What may wait on one link; the link itself waits beyond that. */
const MAX_WAITING = 4_096;
/** Registrations that come in one turn: the layers of an image, whose answers then go out together. */
const MAX_IN_TURN = 16;

type Numbered = Exclude<PeerRequest, { case: 'inventory' }>;

interface Waiting {
  readonly request: Numbered;
  /** Of a registration. */
  readonly turn: Promise<void> | undefined;
}

/**
 * Lets registrations wait for their turn beside their link, on which pieces, leases and the words of other peers go on. What concerns a
 * peer whose registration waits is heard after that, in order.
 */
export class WaitingRequests {
  readonly #handle: (request: PeerRequest) => void;
  readonly #onError: (error: unknown) => void;
  readonly #queue: Waiting[] = [];
  /** How much of each peer waits. */
  readonly #numbers = new Map<number, number>();
  #room: PromiseWithResolvers<void> | undefined;
  #isDraining = false;
  /** Registrations that wait for the newest turn that was asked for, or came in it. */
  #inTurn = 0;

  /** @param onError what `handle` threw, or why there will be no turn: nothing more is handled */
  constructor(handle: (request: PeerRequest) => void, onError: (error: unknown) => void) {
    this.#handle = handle;
    this.#onError = onError;
  }

  /** The next registration need not ask for a turn: it comes with those before it. */
  get sharesTurn(): boolean {
    return this.#queue.length > 0 && this.#inTurn < MAX_IN_TURN;
  }

  /** Registrations that come in the newest turn that was asked for. */
  readonly inTurn = (): number => this.#inTurn;

  /** Handles a request now, or when its time has come. @param turn of a registration that has to wait @returns to be waited for, when too much waits */
  take(request: PeerRequest, turn?: Promise<void>): Promise<void> | undefined {
    // Whoever stops looking at the queue must not leave a rejection behind.
    turn?.catch(() => undefined);
    if (request.case === 'inventory' || (turn === undefined && !this.#mustWait(request))) {
      this.#handle(request);
      return undefined;
    }
    if (request.case === 'register') this.#inTurn = turn === undefined ? this.#inTurn + 1 : 1;
    this.#queue.push({ request, turn });
    this.#count(request.value.peerNumber, 1);
    if (!this.#isDraining) void this.#drain();
    if (this.#queue.length < MAX_WAITING) return undefined;
    return (this.#room ??= Promise.withResolvers<void>()).promise;
  }

  /** Registrations keep their order; others wait for their own alone. */
  #mustWait({ case: kind, value }: Numbered): boolean {
    return kind === 'register' ? this.#queue.length > 0 : this.#numbers.has(value.peerNumber);
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    this.#isDraining = true;
    try {
      for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
        await next.turn;
        this.#queue.shift();
        this.#count(next.request.value.peerNumber, -1);
        this.#handle(next.request);
        this.#makeRoom();
      }
      this.#isDraining = false;
    } catch (error) {
      this.#onError(error);
      this.#makeRoom();
    }
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #count(peerNumber: number, change: 1 | -1): void {
    const count = (this.#numbers.get(peerNumber) ?? 0) + change;
    if (count === 0) this.#numbers.delete(peerNumber);
    else this.#numbers.set(peerNumber, count);
  }
}
