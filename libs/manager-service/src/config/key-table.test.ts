import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { configurationTables } from '@d7y/service-kit';
import { format } from 'prettier';
import { ALIASES, KNOWN_ELSEWHERE, managerSchema } from './schema.ts';

const DOCUMENT = new URL('../../../../docs/manager-configuration.md', import.meta.url);
const TABLES = configurationTables({ schema: managerSchema, aliases: ALIASES, knownElsewhere: KNOWN_ELSEWHERE });
const BEGIN = '<!-- generated from the schema: run this test with UPDATE_DOCS=1 -->';

describe('the tables of keys', () => {
  it('stand in the documentation as the schema has them', async () => {
    const text = await readFile(DOCUMENT, 'utf8');
    const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length);
    const current = await format(`${before}\n\n${TABLES}\n`, { parser: 'markdown', printWidth: 120 });
    if (process.env['UPDATE_DOCS'] === '1') await writeFile(DOCUMENT, current);
    expect(await readFile(DOCUMENT, 'utf8')).toBe(current);
  });

  it('describe every key', () => {
    for (const line of TABLES.split('\n')) expect(line).not.toMatch(/\| *\|$/);
  });
});
