import { DfError } from '@d7y/piece';

/** What a download is judged by. */
export interface JudgedDownload {
  readonly url: string;
  readonly application?: string | undefined;
  readonly tag?: string | undefined;
  /** 0–6 */
  readonly priority: number;
}

/** Downloads that are refused: each that has one of these. */
export interface BlockList {
  readonly applications: ReadonlySet<string>;
  readonly urls: readonly RegExp[];
  readonly tags: ReadonlySet<string>;
  readonly priorities: ReadonlySet<number>;
}

/** Where the block list in force comes from: a file, a manager. */
export interface BlockListSource {
  current(): BlockList;
}

export const NOTHING_BLOCKED: BlockList = {
  applications: new Set(),
  urls: [],
  tags: new Set(),
  priorities: new Set(),
};

/** The configuration of a cluster holds a block list that cannot be read. */
export class BlockListError extends DfError {
  override readonly name = 'BlockListError';
  readonly code = 'CONFIG';
  readonly retryable = false;
}

/** Longer lists are not read: every request is held against all of it. */
const MAX_ENTRIES = 1000;

/** Why a download is refused; undefined when it is not. */
export function blockedBy({ url, application, tag, priority }: JudgedDownload, list: BlockList): string | undefined {
  if (application !== undefined && list.applications.has(application))
    return `the application ${application} is blocked`;
  if (tag !== undefined && list.tags.has(tag)) return `the tag ${tag} is blocked`;
  if (list.priorities.has(priority)) return `the priority ${priority} is blocked`;
  return list.urls.some((pattern) => pattern.test(url)) ? 'the URL is blocked' : undefined;
}

/**
 * Reads the list for downloads of tasks out of the configuration that a cluster has for its peers: `blockList.task.download`, in camelCase
 * as in files or in snake_case as managers send it. What it says of other kinds of tasks has no meaning here.
 * @param config of the peers or of the seeds; undefined for none
 * @throws {BlockListError}
 */
export function parseBlockList(config: unknown): BlockList {
  const { blockList, block_list: sent } = sectionOf(config, 'the configuration of the cluster');
  const { task } = sectionOf(blockList ?? sent, 'blockList');
  const { download: listed } = sectionOf(task, 'blockList.task');
  const download = sectionOf(listed, 'blockList.task.download');
  return {
    applications: new Set(textsOf(download, 'applications')),
    tags: new Set(textsOf(download, 'tags')),
    urls: textsOf(download, 'urls').map(patternOf),
    priorities: new Set(entriesOf(download, 'priorities').map(priorityOf)),
  };
}

type Section = Readonly<Record<string, unknown>>;

function sectionOf(value: unknown, name: string): Section {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new BlockListError(`${name}: expected a section`);
  return value as Section;
}

function entriesOf(section: Section, name: string): readonly unknown[] {
  const list = section[name] ?? [];
  if (!Array.isArray(list)) throw new BlockListError(`block list: ${name}: expected a list`);
  if (list.length > MAX_ENTRIES) throw new BlockListError(`block list: ${name}: more than ${MAX_ENTRIES} entries`);
  return list;
}

function textsOf(section: Section, name: string): readonly string[] {
  return entriesOf(section, name).map((entry) => {
    if (typeof entry !== 'string' || entry === '') throw new BlockListError(`block list: ${name}: expected texts`);
    return entry;
  });
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new BlockListError(`block list: urls: ${(error as Error).message}`, { cause: error });
  }
}

function priorityOf(entry: unknown): number {
  const priority = typeof entry === 'string' && /^\d$/.test(entry) ? Number(entry) : entry;
  if (typeof priority !== 'number' || !Number.isInteger(priority) || priority < 0 || priority > 6) {
    throw new BlockListError('block list: priorities: expected numbers from 0 to 6');
  }
  return priority;
}
