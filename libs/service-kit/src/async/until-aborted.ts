const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

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
  let isAborted = false;
  let giveUp: (() => void) | undefined;
  const onAbort = () => {
    isAborted = true;
    giveUp?.();
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (;;) {
      // Not a race against one promise for all reads: it would remember every read for as long as the stream lives.
      const result = await new Promise<IteratorResult<T>>((resolve, reject) => {
        giveUp = () => resolve(END);
        iterator.next().then(resolve, reject); // a read that was left behind may still fail
        if (isAborted) giveUp();
      });
      if (result.done === true) return;
      yield result.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not awaited: a source that waits for its producer would hold us as long.
    iterator.return?.().catch(() => undefined);
  }
}
