import type { EventTopic } from '@d7y/manager-api';
import type { Logger } from '@d7y/service-kit';
import { delay } from '@d7y/service-kit';
import type { EventIds } from './event-text.ts';
import { changeText, snapshotText } from './event-text.ts';

/** What there is at a moment. */
export interface Reading<Item> {
  /** Those that matter most first. */
  readonly items: readonly Item[];
  /** Who did not tell all. */
  readonly incomplete: readonly string[];
  /** Whether an item that is not among them may be there all the same. */
  readonly mayBeMissing: (item: Item) => boolean;
}

export interface FeedOptions<Item> {
  readonly topic: EventTopic;
  /** @param shown what this feed has told last */
  readonly read: (shown: readonly Item[], signal: AbortSignal) => Promise<Reading<Item>>;
  /** What an item is known by, in what is told of it. */
  readonly keyOf: (item: Item) => object;
  /** From one reading to the next. */
  readonly intervalMs: number;
  readonly ids: EventIds;
  readonly logger: Logger;
  readonly limits?: Partial<FeedLimits>;
}

export interface FeedLimits {
  /** Items that are shown. */
  readonly maxItems: number;
  /** Characters of all of them together, as JSON. */
  readonly maxChars: number;
  /** How long an item is shown that may be missing only because somebody did not tell. */
  readonly keepMs: number;
}

export type FeedListener = (event: Buffer) => void;

interface Shown<Item> {
  readonly item: Item;
  readonly text: string;
  /** When it was read last, by `performance.now()`. */
  readonly readAtMs: number;
}

interface View<Item> {
  readonly shown: ReadonlyMap<string, Shown<Item>>;
  readonly total: number;
  readonly incomplete: readonly string[];
}

const LIMITS: FeedLimits = { maxItems: 1_000, maxChars: 1024 * 1024, keepMs: 30_000 };
/** A reading that takes long is followed by a longer pause, so that no more than a fifth of the time is spent on reading. */
const PAUSE_FACTOR = 4;

/**
 * One topic for all who listen to it: read again and again while somebody does, and told of as far as it has changed. However many listen,
 * it is read once, and an event is one piece of memory.
 */
export class Feed<Item> {
  readonly #options: FeedOptions<Item>;
  readonly #limits: FeedLimits;
  readonly #listeners = new Set<FeedListener>();
  #watching: AbortController | undefined;
  #view: View<Item> | undefined;
  /** Of the view; made when it is needed. */
  #snapshot: Buffer | undefined;
  #isFailing = false;

  constructor(options: FeedOptions<Item>) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
  }

  /** Tells a snapshot, at once or when there is one, then every change, until it is disposed. */
  listen(listener: FeedListener): Disposable {
    this.#listeners.add(listener);
    if (this.#view !== undefined) listener(this.#snapshotOf(this.#view));
    if (this.#watching === undefined) {
      this.#watching = new AbortController();
      void this.#watch(this.#watching.signal);
    }
    return { [Symbol.dispose]: () => this.#leave(listener) };
  }

  #leave(listener: FeedListener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#watching?.abort();
    this.#watching = undefined;
    this.#view = undefined;
    this.#snapshot = undefined;
    this.#isFailing = false;
  }

  /** Until nobody listens. Never rejects. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { read, intervalMs, logger, topic } = this.#options;
    while (!signal.aborted) {
      const begunMs = performance.now();
      try {
        const shown = [...(this.#view?.shown.values() ?? [])].map(({ item }) => item);
        const reading = await read(shown, signal);
        if (signal.aborted) return;
        this.#take(reading);
        if (this.#isFailing) logger.info({ topic }, 'those who listen are told of changes again');
        this.#isFailing = false;
      } catch (error) {
        if (signal.aborted) return;
        if (!this.#isFailing)
          logger.warn({ err: error, topic }, 'those who listen are not told of changes; tried again');
        this.#isFailing = true;
      }
      const waitMs = Math.max(intervalMs, PAUSE_FACTOR * (performance.now() - begunMs));
      await delay(waitMs, { signal, unref: true }).catch(() => undefined);
    }
  }

  #take(reading: Reading<Item>): void {
    const before = this.#view;
    const view = this.#viewOf(reading, before);
    this.#view = view;
    if (before === undefined) {
      this.#snapshot = undefined;
      this.#tell(this.#snapshotOf(view));
      return;
    }
    const changed = [...view.shown].flatMap(([key, { text }]) => (before.shown.get(key)?.text === text ? [] : [text]));
    const removed = [...before.shown.keys()].filter((key) => !view.shown.has(key));
    const isSame = view.total === before.total && view.incomplete.join() === before.incomplete.join();
    if (changed.length === 0 && removed.length === 0 && isSame) return;
    this.#snapshot = undefined;
    const { ids, topic } = this.#options;
    const { total, incomplete } = view;
    this.#tell(changeText(ids.next(), topic, { changed, removed, total, incomplete }));
  }

  #viewOf({ items, incomplete, mayBeMissing }: Reading<Item>, before: View<Item> | undefined): View<Item> {
    const { maxItems, maxChars, keepMs } = this.#limits;
    const { keyOf } = this.#options;
    const nowMs = performance.now();
    const shown = new Map<string, Shown<Item>>();
    let chars = 0;
    /** @returns whether there is room for more */
    const show = (key: string, one: Shown<Item>): boolean => {
      if (shown.size >= maxItems || chars + one.text.length > maxChars) return false;
      chars += one.text.length;
      shown.set(key, one);
      return true;
    };
    for (const item of items)
      if (!show(JSON.stringify(keyOf(item)), { item, text: JSON.stringify(item), readAtMs: nowMs })) break;
    let kept = 0;
    if (before !== undefined && incomplete.length > 0) {
      const read = new Set(items.map((item) => JSON.stringify(keyOf(item))));
      for (const [key, one] of before.shown) {
        if (read.has(key) || nowMs - one.readAtMs > keepMs || !mayBeMissing(one.item)) continue;
        if (!show(key, one)) break;
        kept++;
      }
    }
    return { shown, total: items.length + kept, incomplete };
  }

  #snapshotOf({ shown, total, incomplete }: View<Item>): Buffer {
    const { ids, topic } = this.#options;
    const items = [...shown.values()].map(({ text }) => text);
    return (this.#snapshot ??= snapshotText(ids.next(), topic, { items, total, incomplete }));
  }

  #tell(event: Buffer): void {
    for (const listener of this.#listeners) listener(event);
  }
}
