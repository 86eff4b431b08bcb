import type { EmbeddedAddress } from '@d7y/embedded-database';
import { startEmbeddedDatabase } from '@d7y/embedded-database';
import { join } from 'node:path';
import { tempDir } from '../scratch/temp-dir.ts';

/** A PostgreSQL for one file of tests. */
export interface TestDatabases extends AsyncDisposable {
  /** A new database with what `prepare` made: tables and rows of its own, in some 50 ms. */
  create(): Promise<EmbeddedAddress>;
  /** Removes one, whoever is connected; what is left goes with the server. */
  drop(address: EmbeddedAddress): Promise<void>;
}

export interface TestDatabasesOptions {
  /** Makes in an empty database what every test begins with, such as the migrations; runs once. */
  readonly prepare?: (address: EmbeddedAddress) => Promise<unknown>;
  /** Another PostgreSQL than the one from npm: a folder with `bin`, such as /usr/lib/postgresql/15. */
  readonly software?: string;
  readonly settings?: Readonly<Record<string, string>>;
}

const TEMPLATE = 'template_of_tests';

/** Starts a PostgreSQL that forgets all when the machine ends, in a folder of its own. It ends with this process, killed or not. */
export async function startTestDatabases(options: TestDatabasesOptions = {}): Promise<TestDatabases> {
  const { prepare, software, settings } = options;
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir('d7y-pg'));
  const server = stack.use(
    await startEmbeddedDatabase({
      folder: join(folder.path, 'database'),
      durable: false,
      ...(software !== undefined && { software }),
      ...(settings !== undefined && { settings }),
    }),
  );
  const template = await server.createDatabase(TEMPLATE);
  await prepare?.(template);
  let count = 0;
  const running = stack.move();
  return {
    create: () => server.createDatabase(`test_${++count}`, TEMPLATE),
    drop: ({ database }) => server.dropDatabase(database),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
