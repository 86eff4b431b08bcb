/** By what a manifest is asked for: the same tag may mean another manifest for another Accept header. */
export interface TagKey {
  /** Scheme and authority of the registry, lower-case: `https://registry-1.docker.io`. */
  readonly registry: string;
  /** `library/nginx` */
  readonly repository: string;
  /** `latest` */
  readonly tag: string;
  /** The Accept header, normalised: media types sorted, without parameters and spaces. */
  readonly accept: string;
}

/** What a tag meant when the registry was asked last. */
export interface TagRecord extends TagKey {
  /** `sha256:…` of the manifest. */
  readonly digest: string;
  readonly mediaType: string;
  /** Bytes of the manifest. */
  readonly size: number;
  /** Unix time in ms at which the registry said so. */
  readonly seenAtMs: number;
}

/** What the swarm knows of tags of public repositories. May know nothing; never throws for lack of a scheduler. */
export interface TagDirectory {
  /** Tells the swarm; told again after a reconnect. */
  record(record: TagRecord): void;
  /** @returns newest first; empty when nobody knows or nobody can be asked. Bounded: a second or so. */
  find(key: TagKey, options: { signal: AbortSignal }): Promise<readonly TagRecord[]>;
}
