/**
 * Iterates `source` until it ends or the signal is aborted; then the iteration just ends, even while a value is awaited. For request
 * streams of RPC handlers, which otherwise sit in `for await` long after their call was cancelled.
 */
export async function* untilAborted<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  if (signal.aborted) return;
  const iterator = source[Symbol.asyncIterator]();
  const { promise: aborted, resolve } = Promise.withResolvers<{ done: true; value: undefined }>();
  const onAbort = () => resolve({ done: true, value: undefined });
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (;;) {
      const next = iterator.next();
      const result = await Promise.race([next, aborted]);
      if (result.done === true) {
        next.catch(() => undefined); // the read that was left behind may still fail
        return;
      }
      yield result.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not awaited: a source that waits for its producer would hold us as long.
    iterator.return?.().catch(() => undefined);
  }
}
