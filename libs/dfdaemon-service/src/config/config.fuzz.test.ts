import { describe, expect, it } from '@jest/globals';
import { ConfigError } from '@d7y/service-kit';
import fc from 'fast-check';
import { readDfdaemonConfig } from './read-dfdaemon-config.ts';

const runs = process.env['D7Y_TEST_FULL'] === '1' ? { numRuns: 5000 } : { numRuns: 50, seed: 20_261_120 };

/** Sections and keys that exist, so that values get as far as being judged. */
const KEYS = [
  ...[
    'proxy',
    'server',
    'ip',
    'port',
    'listen',
    'intercept',
    'basicAuth',
    'username',
    'password',
    'caCert',
    'upstreams',
  ],
  ...['allow', 'deny', 'rules', 'regex', 'registries', 'host', 'url', 'registryMirror', 'addr', 'requestRateLimit'],
  ...['download', 'scheduler', 'addrs', 'gc', 'policy', 'taskTTL', 'storage', 'dir', 'unknownKey', '__proto__'],
];
const leaf = fc.oneof(
  fc.constantFrom('10s', '4MiB', '127.0.0.1', 'ghcr.io', '(', '${HOME}', '${MISSING}', 'http://x', '', 'a:1'),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.string(),
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...KEYS), tie('tree'), { maxKeys: 4 }),
  ),
}));

/** Any other error than the one that names file and key fails the test. */
function readable(text: string): boolean {
  try {
    readDfdaemonConfig({ text, env: { HOME: '/root' }, uid: 0 });
    return true;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.message).not.toBe('');
    return false;
  }
}

describe('readDfdaemonConfig', () => {
  it('reads any text, or says what is wrong with it', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          tree.map((value) => JSON.stringify(value) ?? ''),
        ),
        (text) => void readable(text),
      ),
      runs,
    );
  }, 600_000);

  it('never shows a password in what it says', () => {
    fc.assert(
      fc.property(tree, (value) => {
        const text = JSON.stringify({ proxy: { server: { basicAuth: { username: value, password: 'pl4nted' } } } });
        try {
          readDfdaemonConfig({ text, env: {}, uid: 0 });
        } catch (error) {
          expect(String(error)).not.toContain('pl4nted');
        }
      }),
      runs,
    );
  }, 600_000);
});
