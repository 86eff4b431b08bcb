import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { silent } from '../_rig.ts';
import { Dynconfig } from './dynconfig.ts';
import { readLocalSettings } from './local-settings.ts';

const { signal } = new AbortController();

describe('readLocalSettings', () => {
  let dir: string;
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'd7y-local-'))));
  afterEach(() => rm(dir, { recursive: true }));

  it('reads limits and priorities, and passes over what daemons keep in the same file', async () => {
    const path = join(dir, 'dynconfig.yaml');
    await writeFile(
      path,
      `
scheduler: { addrs: [10.0.0.1:8002] }
clientConfig: { block_list: {} }
applications:
  - name: batch
    priority: { value: LEVEL1, urls: [{ regex: 'a.*', value: 5 }] }
  - name: plain
schedulerClusterConfig: { candidateParentLimit: 5, filterParentLimit: 40 }
schedulerClusterClientConfig: { loadLimit: 60, blockList: {} }
seedPeerClusterConfig: { loadLimit: 700 }
`,
    );
    expect(await readLocalSettings(path)).toEqual({
      candidateParentLimit: 5,
      filterParentLimit: 40,
      loadLimit: 60,
      seedLoadLimit: 700,
      applications: [
        { name: 'batch', priority: 1, urls: [{ regex: 'a.*', priority: 5 }] },
        { name: 'plain', priority: 0, urls: [] },
      ],
    });
  });

  it('writes a file that says what can be set, and sets nothing itself', async () => {
    const path = join(dir, 'new', 'dynconfig.yaml');
    expect(await readLocalSettings(path)).toEqual({ applications: [] });
    expect(await readFile(path, 'utf8')).toContain('candidateParentLimit: 3');
    expect(await readLocalSettings(path)).toEqual({ applications: [] });
  });

  it.each([
    ['applications: [{ name: a, priority: { value: LEVEL9 } }]', 'applications[0].priority.value'],
    ['schedulerClusterConfig: { candidateParentLimit: 21 }', 'schedulerClusterConfig.candidateParentLimit'],
    ['seedPeerClusterConfig: { loadLimt: 1 }', 'loadLimit'],
  ])('refuses %j and names %s', async (text, name) => {
    const path = join(dir, 'dynconfig.yaml');
    await writeFile(path, text);
    await expect(readLocalSettings(path)).rejects.toThrow(name);
  });

  it('is read again and again, and a damaged file changes nothing', async () => {
    const path = join(dir, 'dynconfig.yaml');
    await writeFile(path, 'schedulerClusterConfig: { candidateParentLimit: 5 }');
    const seen: (number | undefined)[] = [];
    let nowMs = 1000;
    const dynconfig = new Dynconfig({
      ask: () => readLocalSettings(path),
      source: path,
      refreshIntervalMs: 1,
      onChange: ({ candidateParentLimit }) => void seen.push(candidateParentLimit),
      clock: () => nowMs,
      logger: silent,
    });
    await dynconfig.refresh({ signal });
    await writeFile(path, 'schedulerClusterConfig: [');
    nowMs = 3000;
    await dynconfig.refresh({ signal });
    expect(dynconfig).toMatchObject({ ageMs: 2000, isFailing: true, settings: { candidateParentLimit: 5 } });
    await writeFile(path, 'schedulerClusterConfig: { candidateParentLimit: 6 }');
    await dynconfig.refresh({ signal });
    await dynconfig.refresh({ signal });
    expect(seen).toEqual([undefined, 5, 6]);
  });
});
