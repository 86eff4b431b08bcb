import type { TaskLayout } from '@d7y/piece';
import type { PieceVoucher, VoucherBatch } from './ports/swarm-link.ts';

/** Different digests of one piece that are kept: two already contradict each other, the others are kept for the blame. */
const MAX_DIGESTS = 4;
/** Hosts that are remembered for one digest of one piece. */
const MAX_HOSTS = 16;

/** Who vouched for what in one task. Values in, answers out; the word of a host that is not trusted (any more) does not count. */
export class VoucherBook {
  readonly #layout: TaskLayout;
  readonly #isTrusted: (hostId: string) => boolean;
  /** By piece number, then SHA-256: the hosts that vouch. */
  readonly #pieces = new Map<number, Map<string, Set<string>>>();
  readonly #disputed = new Set<number>();
  #isVoid = false;

  constructor(layout: TaskLayout, isTrusted: (hostId: string) => boolean) {
    this.#layout = layout;
    this.#isTrusted = isTrusted;
  }

  /** Takes what others vouch for. @returns pieces of which something new was said */
  add({ contentLength, pieceLength, vouchers }: VoucherBatch): number[] {
    if (contentLength !== this.#layout.contentLength || pieceLength !== this.#layout.pieceLength) return [];
    return vouchers.filter((voucher) => this.#take(voucher)).map(({ pieceNumber }) => pieceNumber);
  }

  /** The SHA-256 that a piece must have: undefined when nobody vouches, or when two contradict each other. */
  sha256Of(pieceNumber: number): string | undefined {
    if (this.#isVoid || this.#disputed.has(pieceNumber)) return undefined;
    const [only, ...others] = this.#trusted(pieceNumber);
    return others.length > 0 ? undefined : only?.[0];
  }

  /** Somebody vouched for the piece, rightly or not. */
  knows(pieceNumber: number): boolean {
    return this.#pieces.has(pieceNumber);
  }

  /** Pieces of which different things were said, whomever one believes. */
  get contradicted(): number[] {
    return [...this.#pieces].filter(([, digests]) => digests.size > 1).map(([number]) => number);
  }

  hasVouched(hostId: string, pieceNumber: number): boolean {
    return [...(this.#pieces.get(pieceNumber)?.values() ?? [])].some((hostIds) => hostIds.has(hostId));
  }

  /** The vouchers for this piece do not count any more: there is reason to doubt them. */
  dispute(pieceNumber: number): void {
    this.#disputed.add(pieceNumber);
  }

  /** No voucher counts any more. */
  void(): void {
    this.#isVoid = true;
  }

  /** Hosts that vouched for something else than the truth, each with one such piece. */
  falseVouchers(truthOf: (pieceNumber: number) => string | undefined): Map<string, number> {
    const found = new Map<string, number>();
    for (const [pieceNumber, digests] of this.#pieces) {
      const truth = truthOf(pieceNumber);
      if (truth === undefined) continue;
      for (const [sha256, hostIds] of digests) {
        for (const hostId of sha256 === truth ? [] : hostIds) if (!found.has(hostId)) found.set(hostId, pieceNumber);
      }
    }
    return found;
  }

  #take({ pieceNumber, sha256, hostId }: PieceVoucher): boolean {
    if (!Number.isInteger(pieceNumber) || pieceNumber < 0 || pieceNumber >= this.#layout.pieceCount) return false;
    if (!/^[a-f0-9]{64}$/.test(sha256)) return false;
    const digests = this.#pieces.get(pieceNumber) ?? new Map<string, Set<string>>();
    const hostIds = digests.get(sha256) ?? new Set<string>();
    if (hostIds.has(hostId) || hostIds.size >= MAX_HOSTS) return false;
    if (hostIds.size === 0 && digests.size >= MAX_DIGESTS) return false;
    this.#pieces.set(pieceNumber, digests.set(sha256, hostIds.add(hostId)));
    return true;
  }

  #trusted(pieceNumber: number): [sha256: string, hostIds: ReadonlySet<string>][] {
    const digests = [...(this.#pieces.get(pieceNumber) ?? [])];
    return digests.filter(([, hostIds]) => [...hostIds].some((hostId) => this.#isTrusted(hostId)));
  }
}
