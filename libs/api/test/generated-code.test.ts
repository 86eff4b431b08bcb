import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const workspace = fileURLToPath(new URL('../../..', import.meta.url));
const binaries = join(workspace, 'node_modules', '.bin');
const generated = join('libs', 'api', 'src', 'gen');

/** Text of every file below a directory, by its path there. */
async function filesBelow(directory: string): Promise<Map<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files = paths.map(async (path): Promise<[string, string]> => {
    return [path.slice(directory.length + 1), await readFile(path, 'utf8')];
  });
  return new Map(await Promise.all(files));
}

describe('the generated code', () => {
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'd7y-api-'));
    await promisify(execFile)(join(binaries, 'buf'), ['generate', '--output', directory], {
      cwd: workspace,
      env: { ...process.env, PATH: `${binaries}${delimiter}${process.env['PATH'] ?? ''}` },
      timeout: 60_000,
    });
  }, 70_000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('is what "npm run gen" makes of the definitions, untouched by hand', async () => {
    const fresh = await filesBelow(join(directory, generated));
    const committed = await filesBelow(join(workspace, generated));
    expect([...committed.keys()].sort()).toEqual([...fresh.keys()].sort());
    expect(fresh.size).toBeGreaterThan(6);
    const stale = [...fresh].filter(([path, text]) => committed.get(path) !== text).map(([path]) => path);
    expect(stale).toEqual([]);
  });
});
