import { createClient } from '@connectrpc/connect';
import type { Transport } from '@connectrpc/connect';
import type { common } from '@d7y/api';
import { dfdaemon } from '@d7y/api';
import { DfError } from '@d7y/piece';
import type { HostFacts } from '@d7y/swarm';

/** A seed does not start, or does not go on, with a download that it was told to make. */
export class SeedStalledError extends DfError {
  override readonly name = 'SeedStalledError';
  readonly code = 'TIMEOUT';
  readonly retryable = true;
  constructor(seedHostId: string, silentMs: number) {
    super(`seed ${seedHostId} sent nothing for ${silentMs} ms`);
  }
}

/**
 * Tells a seed to download, and reads its reports, which only say that it is alive, until it is done.
 * @param silentMs the longest time between two of them
 * @throws {ConnectError} what the seed answered @throws {SeedStalledError}
 */
export async function triggerSeed(
  transport: Transport,
  seed: HostFacts,
  download: common.Download,
  { signal, silentMs }: { signal: AbortSignal; silentMs: number },
): Promise<void> {
  const client = createClient(dfdaemon.DfdaemonUpload, transport);
  const stalled = new AbortController();
  const alarm = setTimeout(() => stalled.abort(new SeedStalledError(seed.id, silentMs)), silentMs);
  try {
    const reports = client.downloadTask({ download }, { signal: AbortSignal.any([signal, stalled.signal]) });
    for await (const _report of reports) alarm.refresh();
  } catch (error) {
    throw stalled.signal.aborted ? stalled.signal.reason : error;
  } finally {
    clearTimeout(alarm);
  }
}
