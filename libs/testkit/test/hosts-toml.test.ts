import { readFile } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { writeHostsToml } from '../src/clients/hosts-toml.ts';
import { tempDir } from '../src/scratch/temp-dir.ts';

describe('writeHostsToml', () => {
  it('puts the server before the mirrors and their headers behind them', async () => {
    await using scratch = await tempDir();
    const registry = '127.0.0.1:5000';
    const path = await writeHostsToml({
      certsDir: scratch.path,
      registry,
      server: `http://${registry}`,
      mirrors: [{ url: 'http://127.0.0.1:4001', headers: { 'X-Dragonfly-Registry': `http://${registry}` } }],
    });
    expect(path).toBe(`${scratch.path}/${registry}/hosts.toml`);
    expect(await readFile(path, 'utf8')).toBe(`server = "http://127.0.0.1:5000"

[host."http://127.0.0.1:4001"]
  capabilities = ["pull", "resolve"]
  [host."http://127.0.0.1:4001".header]
    "X-Dragonfly-Registry" = ["http://127.0.0.1:5000"]
`);
  });

  it('names the registry as a host of its own when there is no mirror, or its authority would be ignored', async () => {
    await using scratch = await tempDir();
    const path = await writeHostsToml({
      certsDir: scratch.path,
      registry: 'registry.test',
      server: 'https://registry.test',
      caFile: '/ca.crt',
      mirrors: [],
    });
    expect(await readFile(path, 'utf8')).toContain(
      '[host."https://registry.test"]\n  capabilities = ["pull", "resolve"]\n  ca = "/ca.crt"',
    );
  });
});
