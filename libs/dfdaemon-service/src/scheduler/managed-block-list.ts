import { type BlockList, type BlockListSource, NOTHING_BLOCKED, parseBlockList } from '@d7y/registry-proxy';
import type { Logger } from '@d7y/service-kit';

/** The block list that a manager sends with the settings of the cluster. One that cannot be read leaves the one before in force. */
export class ManagedBlockList implements BlockListSource {
  readonly #configText: () => string;
  readonly #logger: Pick<Logger, 'warn'>;
  #read = '';
  #current: BlockList = NOTHING_BLOCKED;

  /** @param configText JSON of the cluster's settings for daemons of our kind; empty for none */
  constructor(configText: () => string, logger: Pick<Logger, 'warn'>) {
    this.#configText = configText;
    this.#logger = logger;
  }

  current(): BlockList {
    const text = this.#configText();
    if (text === this.#read) return this.#current;
    this.#read = text;
    try {
      this.#current = text === '' ? NOTHING_BLOCKED : parseBlockList(JSON.parse(text));
    } catch (error) {
      this.#logger.warn({ err: error }, 'the block list of the manager cannot be read: what was blocked stays blocked');
    }
    return this.#current;
  }
}
