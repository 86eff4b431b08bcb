import { type AccessMode, AccessPolicy, type HeadOrigin } from './access/access-policy.ts';
import type { Credentials } from './access/access-request.ts';
import type { RegistryProxyConfig } from './config.ts';
import { BaseAnswers } from './manifests/base-answers.ts';
import type { Remembered } from './manifests/memory-file.ts';
import { MemoryFile } from './manifests/memory-file.ts';
import { TagBook } from './manifests/tag-book.ts';
import type { TagRecord } from './manifests/tag-directory.ts';

/** How long the origin may take to say whether content is public, or a caller accepted. */
const PROBE_TIMEOUT_MS = 20_000;
const MAX_ENTRIES = 20_000;
/** Tags that the swarm is told of again at a start. */
const MAX_RETOLD = 1000;

export interface RegistryKnowledgeOptions {
  readonly origin: HeadOrigin;
  readonly config: Pick<
    RegistryProxyConfig,
    'publicTtlMs' | 'publicWhenDownMs' | 'acceptedTtlMs' | 'acceptedWhenDownMs'
  >;
  readonly mode?: AccessMode;
  /** As whom callers without credentials of their own act at an upstream; nobody unless given. */
  readonly nodeCredentials?: (upstream: string) => Credentials;
  /** Unix time in ms; for tests. */
  readonly clock?: () => number;
}

/**
 * What this daemon knows of registries: what their tags mean, what they show to anybody, whom they accepted. Shared by everybody in the
 * process who decides for callers, so that a registry is asked once.
 */
export class RegistryKnowledge implements AsyncDisposable {
  readonly access: AccessPolicy;
  readonly tags: TagBook;
  readonly bases: BaseAnswers;
  readonly #file: MemoryFile | undefined;

  /** @param file where to keep what outlives the process; @param identityKey under which it names callers */
  constructor(options: RegistryKnowledgeOptions, file?: MemoryFile, identityKey?: Uint8Array) {
    const { clock = Date.now, config } = options;
    const common = { maxEntries: MAX_ENTRIES, clock, changed: file?.changed ?? (() => undefined) };
    const bases = new BaseAnswers(common);
    this.access = new AccessPolicy({
      ...{ ...options, ...config, ...common, probeTimeoutMs: PROBE_TIMEOUT_MS, identityKey },
      challenged: (upstream, challenge) => bases.hearRefusal(upstream, challenge),
    });
    this.tags = new TagBook(common);
    this.bases = bases;
    this.#file = file;
  }

  /** Knowledge that is kept in a file; what the last process knew is known again. */
  static async open(
    path: string,
    options: RegistryKnowledgeOptions & { readonly logger: { warn(fields: object, message: string): void } },
  ): Promise<RegistryKnowledge> {
    const file = new MemoryFile(path, options.logger);
    const remembered = await file.load();
    const callers = remembered?.callers;
    const knowledge = new RegistryKnowledge(options, file, callers && Buffer.from(callers.key, 'base64'));
    const { access, tags, bases } = knowledge;
    for (const record of remembered?.tags ?? []) tags.setPublic(record, record, record.seenAtMs);
    for (const { upstream, scope, record, seenAtMs } of remembered?.repositories ?? []) {
      access.visibility.set(upstream, scope, record, seenAtMs);
    }
    for (const { upstream, challenge, seenAtMs } of remembered?.registries ?? []) {
      bases.learn(upstream, challenge, seenAtMs);
    }
    access.recall(callers?.accepted ?? []);
    file.holds(() => ({
      tags: [...tags.remembered()],
      repositories: [...access.visibility.remembered()],
      registries: [...bases.remembered()],
      callers: callersOf(access),
    }));
    return knowledge;
  }

  /** What the swarm should hear of again after a restart, oldest first. */
  newestTags(): readonly TagRecord[] {
    return [...this.tags.remembered()].sort((a, b) => a.seenAtMs - b.seenAtMs).slice(-MAX_RETOLD);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.[Symbol.asyncDispose]();
  }
}

function callersOf(access: AccessPolicy): NonNullable<Remembered['callers']> {
  const { key, accepted } = access.rememberedCallers();
  return { key: Buffer.from(key).toString('base64'), accepted: [...accepted] };
}
