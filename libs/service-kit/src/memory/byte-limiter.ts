/** Bytes per second that something may take; shared by all who draw on it. */
export interface ByteLimiter {
  /**
   * Draws `bytes`, for a chunk that was or will be moved. Fair: whoever asks first goes first.
   * @returns undefined when they are to be had at once, so that the usual case costs no promise
   * @throws the signal's reason when it aborts first
   */
  take(bytes: number, options: { signal: AbortSignal }): Promise<void> | undefined;
}
