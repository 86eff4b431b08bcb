/** Rows that one statement removes, so that none holds the tables up for long. */
const BATCH = 5_000;

/**
 * Removes rows until there are none left to remove.
 * @param remove removes at most so many, and says how many
 * @returns how many in all, also where the signal ended it
 */
export async function inBatches(
  remove: (limit: number) => Promise<number>,
  { signal }: { signal: AbortSignal },
): Promise<number> {
  let count = 0;
  for (;;) {
    const removed = await remove(BATCH);
    count += removed;
    if (removed < BATCH || signal.aborted) return count;
  }
}
