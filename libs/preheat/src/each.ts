/**
 * Does work for each item, `limit` at a time. Work must not reject.
 * @returns when all is done, or the signal is aborted and what was under way has ended
 */
export async function each<Item>(
  items: Iterable<Item>,
  limit: number,
  work: (item: Item) => Promise<void>,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    while (!signal.aborted) {
      const next = queue.next();
      if (next.done === true) return;
      await work(next.value);
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
}
