/** What the database says of clusters, as it is read for one view. */

/** JSON as it is stored: objects with the field names of the wire. */
export type JsonObject = Readonly<Record<string, unknown>>;

export interface SchedulerClusterFacts {
  readonly id: number;
  readonly name: string;
  readonly bio: string;
  readonly config: JsonObject;
  readonly clientConfig: JsonObject;
  readonly seedClientConfig: JsonObject;
  readonly scopes: JsonObject;
  readonly isDefault: boolean;
}

export interface SeedPeerClusterFacts {
  readonly id: number;
  readonly name: string;
  readonly bio: string;
  readonly config: JsonObject;
}

/** A process that has registered itself. */
interface InstanceFacts {
  readonly id: number;
  readonly hostname: string;
  readonly ip: string;
  readonly port: number;
  readonly idc: string;
  readonly location: string;
  /** Epoch milliseconds: it counts as active until then. Undefined: it never was. */
  readonly activeUntilMs: number | undefined;
}

export interface SchedulerFacts extends InstanceFacts {
  readonly clusterId: number;
  readonly features: readonly string[];
}

export interface SeedPeerFacts extends InstanceFacts {
  readonly clusterId: number;
  readonly type: string;
  readonly downloadPort: number;
}

/** Everything, as of one version. */
export interface ClusterFacts {
  readonly version: number;
  readonly schedulerClusters: readonly SchedulerClusterFacts[];
  readonly seedPeerClusters: readonly SeedPeerClusterFacts[];
  readonly links: readonly { readonly schedulerClusterId: number; readonly seedPeerClusterId: number }[];
  readonly schedulers: readonly SchedulerFacts[];
  readonly seedPeers: readonly SeedPeerFacts[];
}

/** Where the facts are kept. All of it may fail with an error that says that the database cannot be asked. */
export interface ClusterSource {
  /** Counts the changes; keeping alive who is alive is none. */
  version(): Promise<number>;
  read(): Promise<ClusterFacts>;
}
