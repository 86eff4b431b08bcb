// Writes the SQL of migrations/ into a module, so that it travels with sources and bundles alike: node tools/embed-migrations.mjs
import { readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('../migrations/', import.meta.url);
const { entries } = JSON.parse(readFileSync(new URL('meta/_journal.json', folder), 'utf8'));
const migrations = entries.map(({ tag }) => ({ tag, sql: readFileSync(new URL(`${tag}.sql`, folder), 'utf8') }));
writeFileSync(
  new URL('../src/gen/migrations.ts', import.meta.url),
  `// Written by tools/embed-migrations.mjs from migrations/*.sql.\nexport const MIGRATIONS = ${JSON.stringify(migrations, undefined, 2)} as const;\n`,
);
