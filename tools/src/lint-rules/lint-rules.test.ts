// Shows that the rules of eslint.config.mjs fail where they should. ESLint runs in a process of its own: it loads its configuration
// in ways that the test runner's modules do not know.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { LintedText, TextToLint } from './texts.ts';

const BOUNDARIES = '@nx/enforce-module-boundaries';
const WORKSPACE = join(import.meta.dirname, '..', '..', '..');
const CORE = 'libs/piece/src/layout.ts';

/** Each text should break exactly the rule named; undefined for a text without fault. */
const CASES = {
  'core reading files': [
    CORE,
    "import { readFileSync } from 'node:fs';\nexport const a = readFileSync;\n",
    'no-restricted-imports',
  ],
  'core opening sockets': [
    CORE,
    "import { connect } from 'node:net';\nexport const a = connect;\n",
    'no-restricted-imports',
  ],
  'core hashing': [CORE, "import { createHash } from 'node:crypto';\nexport const a = createHash;\n", undefined],
  'core asking the clock': [CORE, 'export const a = Date.now();\n', 'no-restricted-properties'],
  'core throwing dice': [CORE, 'export const a = Math.random();\n', 'no-restricted-properties'],
  'core setting timers': [CORE, 'export const a = setTimeout(() => undefined, 1);\n', 'no-restricted-globals'],
  'core reading the environment': [CORE, "export const a = process.env['HOME'];\n", 'no-restricted-globals'],
  'core importing a service kit': [
    CORE,
    "import { Secret } from '@d7y/service-kit';\nexport const a = new Secret('');\n",
    BOUNDARIES,
  ],
  'core importing a package': [
    CORE,
    "import { create } from '@bufbuild/protobuf';\nexport const a = create;\n",
    BOUNDARIES,
  ],
  'an app importing a feature': [
    'apps/dfdaemon/src/main.ts',
    "import * as engine from '@d7y/peer-engine';\nexport const a = engine;\n",
    BOUNDARIES,
  ],
  'an app importing its service': [
    'apps/dfdaemon/src/main.ts',
    "import * as service from '@d7y/dfdaemon-service';\nexport const a = service;\n",
    undefined,
  ],
  'a feature importing an adapter': [
    'libs/registry-proxy/src/index.ts',
    "import * as store from '@d7y/piece-store';\nexport const a = store;\n",
    BOUNDARIES,
  ],
  'a library importing the test kit': [
    'libs/piece-store/src/index.ts',
    "import * as kit from '@d7y/testkit';\nexport const a = kit;\n",
    BOUNDARIES,
  ],
  'a test importing the test kit': [
    'libs/piece-store/src/piece-store.test.ts',
    "import * as kit from '@d7y/testkit';\nexport const a = kit;\n",
    undefined,
  ],
  'the contract importing a core library': [
    'libs/api/src/index.ts',
    "import * as piece from '@d7y/piece';\nexport const a = piece;\n",
    BOUNDARIES,
  ],
  'a promise that outlives what it uses': [
    'libs/service-kit/src/index.ts',
    'export async function a(b: AsyncDisposable, c: () => Promise<void>) {\n  await using _d = b;\n  return c();\n}\n',
    '@typescript-eslint/return-await',
  ],
  'a relative path into another project': [
    'libs/service-kit/src/index.ts',
    "import { parseDigest } from '../../piece/src/digest.ts';\nexport const a = parseDigest;\n",
    BOUNDARIES,
  ],
} as const satisfies Record<string, readonly [path: string, text: string, rule: string | undefined]>;

type Case = keyof typeof CASES;
const names = Object.keys(CASES) as Case[];
let linted: LintedText[];

beforeAll(async () => {
  const texts: TextToLint[] = names.map((name) => ({ path: CASES[name][0], text: CASES[name][1] }));
  linted = JSON.parse(await lint(JSON.stringify(texts))) as LintedText[];
}, 120_000);

describe('the lint rules', () => {
  it.each(names.filter((name) => CASES[name][2] !== undefined))('refuse %s', (name) => {
    expect(rulesBrokenBy(name)).toEqual([CASES[name][2]]);
  });

  it.each(names.filter((name) => CASES[name][2] === undefined))('allow %s', (name) => {
    expect(rulesBrokenBy(name)).toEqual([]);
  });
});

/** The rules this is about, each once: a made-up text may also offend others. */
function rulesBrokenBy(name: Case): string[] {
  const messages = linted[names.indexOf(name)]?.messages ?? [{ rule: 'not linted', message: '' }];
  const about = [
    BOUNDARIES,
    '@typescript-eslint/return-await',
    'no-restricted-imports',
    'no-restricted-properties',
    'no-restricted-globals',
    'parser',
    'not linted',
  ];
  return [...new Set(messages.map(({ rule }) => rule).filter((rule) => about.includes(rule)))];
}

function lint(input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const script = join(import.meta.dirname, 'lint-texts.ts');
    const env = { ...process.env, NODE_OPTIONS: '', NX_DAEMON: 'false' };
    const child = execFile(
      process.execPath,
      [script],
      { cwd: WORKSPACE, env, maxBuffer: 2 ** 24 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${error.message}\n${stderr}`));
      },
    );
    child.stdin?.end(input);
  });
}
