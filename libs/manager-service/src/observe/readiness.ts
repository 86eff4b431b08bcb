import { withTimeout } from '@d7y/service-kit';

/** Whether a manager can serve, and what it lacks, in words. */
export interface Readiness {
  readonly isReady: boolean;
  readonly says: string;
}

export interface Reach {
  /** Its start is over, and its end has not begun. */
  readonly isServing: () => boolean;
  /** Each rejects when what it asks does not answer. */
  readonly pingDatabase: () => Promise<unknown>;
  readonly pingQueue: () => Promise<unknown>;
}

/** An answer that takes longer is none: whoever asks gives up soon after. */
const PING_TIMEOUT_MS = 2_000;

/**
 * Asks database and queue whether they are there; answers within two seconds. Without the database there is nothing to serve. Without the
 * queue jobs wait, and everything else goes on: managers that all were out of service for it would make things worse.
 */
export async function readinessOf({ isServing, pingDatabase, pingQueue }: Reach): Promise<Readiness> {
  if (!isServing()) return { isReady: false, says: 'not ready' };
  const [hasDatabase, hasQueue] = await Promise.all([
    answers(pingDatabase, 'the database'),
    answers(pingQueue, 'the queue'),
  ]);
  if (!hasDatabase) return { isReady: false, says: 'the database cannot be reached' };
  return { isReady: true, says: hasQueue ? 'OK' : 'OK, but jobs wait: the queue cannot be reached' };
}

const answers = (ping: () => Promise<unknown>, what: string): Promise<boolean> =>
  withTimeout(ping, PING_TIMEOUT_MS, what).then(
    () => true,
    () => false,
  );
