import { resolve } from 'node:path';
import { NoSpaceError } from '@d7y/peer-engine';
import { openPieceStore, type PieceStore, type PieceStoreOptions } from '@d7y/piece-store';
import { StartError } from '@d7y/service-kit';
import type { Runtime } from './runtime.ts';

/**
 * Opens what is on disk.
 * @param onEvict is told of every task that garbage collection removed
 * @throws {StartError}
 */
export async function openStorage(
  { config, logger, stack }: Runtime,
  onEvict: (taskId: string) => void,
): Promise<PieceStore> {
  const { policy } = config.gc;
  return stack.use(
    await opened({
      dir: config.storage.dir,
      keep: config.storage.keep,
      logger,
      policy: {
        taskTtlMs: policy.taskTTL,
        highWatermarkPercent: policy.diskHighThresholdPercent,
        lowWatermarkPercent: policy.diskLowThresholdPercent,
        ...(policy.diskThreshold > 0 ? { capacityBytes: policy.diskThreshold } : {}),
        ...(config.storage.diskGCThreshold > 0 ? { thresholdBytes: config.storage.diskGCThreshold } : {}),
      },
      onEvict,
    }),
  );
}

/** Collects garbage now and then until the daemon stops. */
export function collectGarbageRegularly({ config, logger, stack }: Runtime, store: PieceStore): void {
  const collect = (): void => {
    store.collectGarbage().catch((error: unknown) => logger.warn({ err: error }, 'garbage collection failed'));
  };
  const timer = setInterval(collect, config.gc.interval);
  stack.defer(() => clearInterval(timer));
}

/** @throws {StartError} with the key to change, where the disk is full */
async function opened(options: PieceStoreOptions): Promise<PieceStore> {
  try {
    return await openPieceStore(options);
  } catch (error) {
    if (!(error instanceof NoSpaceError)) throw error;
    const where = resolve(options.dir);
    throw new StartError(`${where}: no space left on the device, free some or configure another storage.dir`, {
      cause: error,
    });
  }
}
