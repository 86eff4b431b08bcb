import type { EngineComponents } from './engine-options.ts';
import { isReplaced } from './origin-pin.ts';
import { OriginStatusError, OriginUnreachableError } from './ports/origin.ts';
import type { StoredTask } from './ports/task-store.ts';
import { originRequestOf, type TaskRequest } from './task-request.ts';

/** Tasks whose last check is remembered; one that is forgotten is checked again. */
const MAX_REMEMBERED = 4096;

/** Knows whether content whose URL may come to mean something else is still what the origin has. Content with a digest always is. */
export class Freshness {
  readonly #components: Pick<EngineComponents, 'origin' | 'clock' | 'logger'>;
  readonly #maxAgeMs: number;
  /** When the origin last said so, Unix time in ms; the oldest first. */
  readonly #checkedAtMs = new Map<string, number>();
  readonly #checks = new Map<string, Promise<boolean>>();

  /** @param maxAgeMs how long an answer of the origin is good for */
  constructor(components: Pick<EngineComponents, 'origin' | 'clock' | 'logger'>, maxAgeMs: number) {
    this.#components = components;
    this.#maxAgeMs = maxAgeMs;
  }

  /**
   * Whether the origin has something else by now; asked once for all who want to know at the same time. While the origin is down, what is held is good.
   * @throws {OriginStatusError} the origin refuses this caller, or has no such content any more
   */
  async isStale(held: StoredTask, request: TaskRequest, { signal }: { signal: AbortSignal }): Promise<boolean> {
    const { taskId } = held;
    if (held.digest !== undefined || request.disableBackToSource) return false;
    const checkedAtMs = Math.max(this.#checkedAtMs.get(taskId) ?? 0, held.createdAtMs);
    if (this.#components.clock() - checkedAtMs < this.#maxAgeMs) return false;
    const running = this.#checks.get(taskId);
    // Somebody else's answer says the same of the content, but nothing of this caller, whose access is checked elsewhere.
    if (running !== undefined) return await running.catch(() => false);
    const check = this.#ask(held, request, signal).finally(() => this.#checks.delete(taskId));
    this.#checks.set(taskId, check);
    return await check;
  }

  async #ask(held: StoredTask, request: TaskRequest, signal: AbortSignal): Promise<boolean> {
    const { origin, clock, logger } = this.#components;
    try {
      const probe = await origin.probe(originRequestOf(request), { signal });
      this.#remember(held.taskId, clock());
      return isReplaced(held, probe);
    } catch (error) {
      const isDown =
        error instanceof OriginUnreachableError ||
        (error instanceof OriginStatusError && (error.status === 429 || error.status >= 500));
      if (!isDown) throw error;
      logger.debug({ taskId: held.taskId, err: error }, 'the origin cannot say whether content is still the same');
      return false;
    }
  }

  #remember(taskId: string, atMs: number): void {
    this.#checkedAtMs.delete(taskId);
    this.#checkedAtMs.set(taskId, atMs);
    if (this.#checkedAtMs.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#checkedAtMs.keys();
    if (oldest !== undefined) this.#checkedAtMs.delete(oldest);
  }
}
