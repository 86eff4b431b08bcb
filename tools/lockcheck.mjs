// npm ci refuses a lock file that lacks a platform's optional binary, while npm install writes one without complaint.
// Lists every optional dependency that the lock file names but does not hold.
import { readFileSync } from 'node:fs';

const packages = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
const held = new Set(Object.keys(packages).map((path) => path.replace(/.*node_modules\//, '')));
const missing = Object.entries(packages).flatMap(([path, entry]) =>
  Object.keys(entry.optionalDependencies ?? {})
    .filter((name) => !held.has(name))
    .map((name) => `${path || 'the root'} -> ${name}`),
);
if (missing.length > 0) {
  console.error(`package-lock.json lacks optional dependencies:\n${missing.join('\n')}`);
  process.exit(1);
}
