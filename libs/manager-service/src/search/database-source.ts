import { asked, type Database, readClusterVersion, schema } from '@d7y/manager-db';
import type { ClusterFacts, ClusterSource, JsonObject } from './cluster-facts.ts';

/** The facts of clusters, from the database. */
export class DatabaseSource implements ClusterSource {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async version(): Promise<number> {
    return await readClusterVersion(this.#database.db);
  }

  /** The version is read first: what changes meanwhile is seen twice rather than never. */
  async read(): Promise<ClusterFacts> {
    const { db } = this.#database;
    const version = await this.version();
    const [schedulerClusters, seedPeerClusters, links, schedulers, seedPeers] = await asked(
      Promise.all([
        db.select().from(schema.schedulerClusters),
        db.select().from(schema.seedPeerClusters),
        db.select().from(schema.clusterLinks),
        db.select().from(schema.schedulers),
        db.select().from(schema.seedPeers),
      ]),
    );
    return {
      version,
      schedulerClusters: schedulerClusters.map((row) => ({
        ...{ id: row.id, name: row.name, bio: row.bio, isDefault: row.isDefault },
        ...{ config: documentOf(row.config), scopes: documentOf(row.scopes) },
        ...{ clientConfig: documentOf(row.clientConfig), seedClientConfig: documentOf(row.seedClientConfig) },
      })),
      seedPeerClusters: seedPeerClusters.map(({ id, name, bio, config }) => ({
        id,
        name,
        bio,
        config: documentOf(config),
      })),
      links,
      schedulers: schedulers.map((row) => ({
        ...instanceOf(row),
        clusterId: row.schedulerClusterId,
        features: row.features,
      })),
      seedPeers: seedPeers.map((row) => ({
        ...instanceOf(row),
        ...{ clusterId: row.seedPeerClusterId, type: row.type, downloadPort: row.downloadPort },
      })),
    };
  }
}

const documentOf = (document: object): JsonObject => document as JsonObject;

type InstanceRow = Pick<
  typeof schema.schedulers.$inferSelect,
  'id' | 'hostName' | 'ip' | 'port' | 'idc' | 'location' | 'activeUntil'
>;

const instanceOf = ({ id, hostName, ip, port, idc, location, activeUntil }: InstanceRow) => ({
  ...{ id, hostname: hostName, ip, port, idc, location },
  activeUntilMs: activeUntil?.getTime(),
});
