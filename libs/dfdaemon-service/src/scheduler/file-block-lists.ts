import { type BlockList, type BlockListSource, NOTHING_BLOCKED, parseBlockList } from '@d7y/registry-proxy';
import { type Logger, readConfig } from '@d7y/service-kit';
import { z } from 'zod';

/** The local file, as far as it says something of block lists: one for peers, one for seeds. */
const fileSchema = z.looseObject({
  clientConfig: z.looseObject({}).optional(),
  seedClientConfig: z.looseObject({}).optional(),
});

export interface FileBlockListsOptions {
  readonly path: string;
  readonly isSeed: boolean;
  readonly read: (path: string) => Promise<string>;
  readonly logger: Pick<Logger, 'warn'>;
}

/** The block list of the local file of daemons without a manager. Owner of the list in force: one that cannot be read leaves it as it was. */
export class FileBlockLists implements BlockListSource {
  readonly #options: FileBlockListsOptions;
  #current: BlockList = NOTHING_BLOCKED;

  constructor(options: FileBlockListsOptions) {
    this.#options = options;
  }

  current(): BlockList {
    return this.#current;
  }

  /** Never rejects. No file: nothing is blocked. */
  async refresh(): Promise<void> {
    const { path, isSeed, read, logger } = this.#options;
    try {
      const text = await read(path);
      const { config } = readConfig({ path, text, schema: fileSchema, env: {} });
      this.#current = parseBlockList(isSeed ? config.seedClientConfig : config.clientConfig);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') this.#current = NOTHING_BLOCKED;
      else logger.warn({ err: error, path }, 'the block list cannot be read: what was blocked stays blocked');
    }
  }
}
