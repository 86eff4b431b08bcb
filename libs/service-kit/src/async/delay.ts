/**
 * Waits `delayMs`, or rejects with the signal's reason as soon as it is aborted.
 * @param options.unref does not keep the process alive while waiting
 */
export function delay(
  delayMs: number,
  options: { signal?: AbortSignal | undefined; unref?: boolean } = {},
): Promise<void> {
  const { signal, unref = false } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    if (unref) timer.unref();
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
