import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const WORKSPACE = join(import.meta.dirname, '..', '..', '..');

describe('the root of the workspace', () => {
  it('has every project type-checked by tsc -b', () => {
    const { references } = JSON.parse(readFileSync(join(WORKSPACE, 'tsconfig.json'), 'utf8')) as {
      references: { path: string }[];
    };
    const projects = globSync(['apps/*/tsconfig.json', 'libs/*/tsconfig.json', 'tools/tsconfig.json'], {
      cwd: WORKSPACE,
    });
    expect(references.map(({ path }) => path).sort()).toEqual(projects.map((path) => `./${dirname(path)}`).sort());
  });
});
