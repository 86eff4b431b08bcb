import type { Database } from '@d7y/manager-db';
import { declareClusters, makeFirstRows, PasswordHasher } from '@d7y/manager-db';
import { OBJECTS } from '@d7y/manager-api';
import type { Logger, Secret } from '@d7y/service-kit';
import type { ManagerConfig } from '../config/read-manager-config.ts';

export interface FirstStartOptions {
  readonly logger: Logger;
  readonly now: Date;
  /** Gets the random password of root, once, when that user is made; it is kept nowhere. */
  readonly tellRootPassword: (password: Secret) => void;
}

/** Makes what a manager cannot do without, and the clusters that the configuration declares, where they are missing. */
export async function makeRows(
  database: Database,
  { bootstrap }: Pick<ManagerConfig, 'bootstrap'>,
  { logger, now, tellRootPassword }: FirstStartOptions,
): Promise<void> {
  const declared = await declareClusters(database, bootstrap.clusters, now);
  if (declared.length > 0) logger.info({ clusters: declared }, 'clusters of the configuration were made');
  const { rootPassword } = await makeFirstRows(database, {
    ...{ objects: OBJECTS, passwords: new PasswordHasher(), now },
    ...{ rootPassword: bootstrap.rootPassword, token: bootstrap.token },
  });
  if (rootPassword !== undefined) tellRootPassword(rootPassword);
}
