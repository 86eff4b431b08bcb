import type { Announcement, Instruction } from '@d7y/peer-protocol';
import type { PieceReport } from '@d7y/piece';

/**
 * A conversation that begins a moment later, when it is known which way it goes. What is said until then is said once it has begun; one that is
 * broken off before never does.
 */
export class LateAnnouncement implements Announcement {
  readonly #begun: Promise<Announcement | undefined>;
  #announcement: Announcement | undefined;
  #unsaid: ((announcement: Announcement) => void)[] = [];
  #isAborted = false;
  readonly #aborted = Promise.withResolvers<undefined>();

  /** @param ready never rejects @param begin is called once, when ready */
  constructor(ready: Promise<void>, begin: () => Announcement) {
    this.#begun = Promise.race([this.#begin(ready, begin), this.#aborted.promise]);
    // Whoever reads the instructions hears of it.
    this.#begun.catch(() => undefined);
  }

  get instructions(): AsyncIterable<Instruction> {
    return this.#instructions();
  }

  get hotPieces() {
    return this.#announcement?.hotPieces;
  }

  started(): void {
    this.#say((announcement) => announcement.started());
  }

  backToSourceStarted(reason: string): void {
    this.#say((announcement) => announcement.backToSourceStarted(reason));
  }

  pieceFinished(piece: PieceReport): void {
    this.#say((announcement) => announcement.pieceFinished(piece));
  }

  pieceFailed(...failed: Parameters<Announcement['pieceFailed']>): void {
    this.#say((announcement) => announcement.pieceFailed(...failed));
  }

  reschedule(...question: Parameters<Announcement['reschedule']>): void {
    this.#say((announcement) => announcement.reschedule(...question));
  }

  async finished(...facts: Parameters<Announcement['finished']>): Promise<void> {
    await (await this.#begun)?.finished(...facts);
  }

  async backToSourceFinished(...facts: Parameters<Announcement['backToSourceFinished']>): Promise<void> {
    await (await this.#begun)?.backToSourceFinished(...facts);
  }

  async failed(reason: string): Promise<void> {
    await (await this.#begun)?.failed(reason);
  }

  async backToSourceFailed(...failure: Parameters<Announcement['backToSourceFailed']>): Promise<void> {
    await (await this.#begun)?.backToSourceFailed(...failure);
  }

  abort(): void {
    this.#isAborted = true;
    this.#unsaid = [];
    this.#announcement?.abort();
    this.#aborted.resolve(undefined);
  }

  async #begin(ready: Promise<void>, begin: () => Announcement): Promise<Announcement | undefined> {
    await ready;
    if (this.#isAborted) return undefined;
    const announcement = (this.#announcement = begin());
    for (const say of this.#unsaid.splice(0)) say(announcement);
    return announcement;
  }

  async *#instructions(): AsyncGenerator<Instruction, void, undefined> {
    const announcement = await this.#begun;
    if (announcement !== undefined) yield* announcement.instructions;
  }

  #say(say: (announcement: Announcement) => void): void {
    if (this.#isAborted) return;
    if (this.#announcement === undefined) this.#unsaid.push(say);
    else say(this.#announcement);
  }
}
