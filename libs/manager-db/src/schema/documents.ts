/** What the jsonb columns hold, with the field names of the REST interface. A field that is absent has not been configured. */

export interface DownloadBlockList {
  readonly applications?: readonly string[];
  /** Regular expressions. */
  readonly urls?: readonly string[];
  readonly tags?: readonly string[];
  readonly priorities?: readonly number[];
}

export type UploadBlockList = Omit<DownloadBlockList, 'priorities'>;

export interface BlockList {
  readonly task?: { readonly download?: DownloadBlockList };
  readonly persistent_task?: { readonly download?: DownloadBlockList; readonly upload?: UploadBlockList };
  readonly persistent_cache_task?: { readonly download?: DownloadBlockList; readonly upload?: UploadBlockList };
}

export interface SchedulerClusterConfig {
  readonly candidate_parent_limit?: number;
  readonly filter_parent_limit?: number;
  /** Jobs per second. */
  readonly job_rate_limit?: number;
}

/** For the daemons of a cluster, and as `seed_client_config` for its seed peers. */
export interface ClientConfig {
  readonly load_limit?: number;
  readonly block_list?: BlockList;
}

export interface SeedPeerClusterConfig {
  readonly load_limit?: number;
  readonly block_list?: BlockList;
}

/** Which daemons belong to a cluster. */
export interface ClusterScopes {
  /** Names joined by `|`. */
  readonly idc?: string;
  /** Up to five parts joined by `|`, the widest first. */
  readonly location?: string;
  readonly cidrs?: readonly string[];
  /** Regular expressions. */
  readonly hostnames?: readonly string[];
}

/** What a scheduler said of itself at registration. */
export interface SchedulerConfigDocument {
  /** Nanoseconds. */
  readonly manager_keep_alive_interval?: number;
}

export interface ApplicationPriority {
  readonly value?: number;
  readonly urls?: readonly { readonly regex: string; readonly value: number }[];
}

/** A value as it came in JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;
