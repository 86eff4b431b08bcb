import { readFile } from 'node:fs/promises';
import type { BlockListSource } from '@d7y/registry-proxy';
import { FileBlockLists } from '../scheduler/file-block-lists.ts';
import { ManagedBlockList } from '../scheduler/managed-block-list.ts';
import type { Discovery } from './discovery.ts';
import type { Runtime } from './runtime.ts';

/** The block list in force, looked up as often as schedulers are: of the manager where there is one, else of the local file. */
export async function followBlockLists(
  { config, identity, logger, stack }: Runtime,
  { clusterConfig }: Discovery,
): Promise<BlockListSource> {
  if (clusterConfig !== undefined) return new ManagedBlockList(clusterConfig, logger);
  const { path, refreshInterval } = config.dynconfig;
  const lists = new FileBlockLists({
    ...{ path, isSeed: identity.isSeed, logger },
    read: (file) => readFile(file, 'utf8'),
  });
  await lists.refresh();
  const timer = setInterval(() => void lists.refresh(), refreshInterval);
  stack.defer(() => clearInterval(timer));
  return lists;
}
