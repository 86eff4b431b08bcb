/** Questions to schedulers that wait for their answers, each for a limited time. */
export class Questions<Asked, Answer> {
  readonly #waiting = new Map<bigint, { readonly whom: Asked; settle: (answer: Answer | undefined) => void }>();
  #lastId = 0n;

  /**
   * @param ask sends the question under its id
   * @returns undefined when no answer comes in time, or the one who was asked is gone @throws the signal's reason
   */
  async ask(
    whom: Asked,
    ask: (requestId: bigint) => void,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Answer | undefined> {
    signal?.throwIfAborted();
    const requestId = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Answer | undefined>();
    const onAbort = (): void => reject(signal?.reason as Error);
    const timer = setTimeout(resolve, timeoutMs, undefined);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.set(requestId, { whom, settle: resolve });
    try {
      ask(requestId);
      return await promise;
    } finally {
      this.#waiting.delete(requestId);
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** @returns whether anybody still waited for it */
  answer(requestId: bigint, answer: Answer): boolean {
    const question = this.#waiting.get(requestId);
    question?.settle(answer);
    return question !== undefined;
  }

  /** No answers will come from there. */
  gone(whom: Asked): void {
    for (const question of this.#waiting.values()) if (question.whom === whom) question.settle(undefined);
  }

  /** An id for a question whose answer is not waited for. */
  nextId(): bigint {
    return ++this.#lastId;
  }
}
