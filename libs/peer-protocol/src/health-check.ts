import type { Client } from '@connectrpc/connect';
import { health } from '@d7y/api';

/** A healthy process answers at once; this is what schedulers grant daemons too. */
const HEALTH_TIMEOUT_MS = 2_000;

/** Whether the process as a whole (service "") is serving. @throws the reason of the signal */
export async function isServing(
  client: Client<typeof health.Health>,
  { signal }: { signal: AbortSignal },
): Promise<boolean> {
  signal.throwIfAborted();
  try {
    const { status } = await client.check({ service: '' }, { signal, timeoutMs: HEALTH_TIMEOUT_MS });
    return status === health.HealthCheckResponse_ServingStatus.SERVING;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
