import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Where the files of the Swagger page are: beside a bundled program, or in the package that has them; undefined when they are missing. */
export function swaggerFiles(): string | undefined {
  const besideProgram = join(import.meta.dirname, 'swagger-ui');
  if (existsSync(besideProgram)) return besideProgram;
  try {
    const inPackage = join(dirname(createRequire(import.meta.url).resolve('@fastify/swagger-ui')), 'static');
    return existsSync(inPackage) ? inPackage : undefined;
  } catch {
    return undefined;
  }
}
