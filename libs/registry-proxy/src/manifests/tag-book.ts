import { isImageDigest } from '@d7y/oci';
import { MANIFEST_MEDIA_TYPES, MAX_DOCUMENT_BYTES } from '@d7y/oci';
import { AgedTable } from '../access/aged-table.ts';
import type { TagKey, TagRecord } from './tag-directory.ts';

/** What a tag means. */
export interface KnownTag {
  /** `sha256:…` of the manifest. */
  readonly digest: string;
  readonly mediaType: string;
  /** Bytes of the manifest. */
  readonly size: number;
}

/** Whether it names a manifest that is kept here: of a kind and size that are understood. Others stay between client and registry. */
export function isFit({ digest, mediaType, size }: KnownTag): boolean {
  return (
    isImageDigest(digest) &&
    MANIFEST_MEDIA_TYPES.includes(mediaType) &&
    Number.isSafeInteger(size) &&
    size > 0 &&
    size <= MAX_DOCUMENT_BYTES
  );
}

/** What registries said of tags: of public repositories for everybody, of private ones for the caller to whom it was said. */
export class TagBook {
  readonly #public: AgedTable<TagKey & KnownTag>;
  readonly #private: AgedTable<KnownTag>;
  readonly #clock: () => number;
  readonly #changed: () => void;

  /**
   * @param clock Unix time in ms
   * @param changed told when there is something new to remember
   */
  constructor(options: { readonly maxEntries: number; readonly clock: () => number; readonly changed: () => void }) {
    this.#public = new AgedTable(options.maxEntries, options.clock);
    this.#private = new AgedTable(options.maxEntries, options.clock);
    this.#clock = options.clock;
    this.#changed = options.changed;
  }

  /** @param identity undefined for what everybody may know */
  get(key: TagKey, identity: string | undefined, maxAgeMs: number): KnownTag | undefined {
    return identity === undefined
      ? this.#public.get(textOf(key), maxAgeMs)
      : this.#private.get(`${identity} ${textOf(key)}`, maxAgeMs);
  }

  setPrivate(key: TagKey, identity: string, tag: KnownTag): void {
    this.#private.set(`${identity} ${textOf(key)}`, tag);
  }

  /** @returns the record that may be told to others */
  setPublic(key: TagKey, { digest, mediaType, size }: KnownTag, seenAtMs: number = this.#clock()): TagRecord {
    const { registry, repository, tag, accept } = key;
    const entry = { registry, repository, tag, accept, digest, mediaType, size };
    this.#public.set(textOf(key), entry, seenAtMs);
    this.#changed();
    return { ...entry, seenAtMs };
  }

  *remembered(): Generator<TagRecord> {
    for (const { value, seenAtMs } of this.#public.entries()) yield { ...value, seenAtMs };
  }
}

/** None of the parts can hold a space: they were parsed. */
function textOf({ registry, repository, tag, accept }: TagKey): string {
  return `${registry} ${repository} ${tag} ${accept}`;
}
