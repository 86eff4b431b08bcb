import { describe, expect, it } from '@jest/globals';
import { readPreheatWorkerConfig } from './read-worker-config.ts';

const warningsOf = (text: string): string => readPreheatWorkerConfig({ text, env: {} }).warnings.join('\n');

describe('readPreheatWorkerConfig', () => {
  it('warns of what makes jobs fail, and of registries that are believed without proof', () => {
    expect(warningsOf('')).toContain('secrets.key');
    expect(warningsOf('')).not.toContain('insecureSkipVerify');
    expect(warningsOf('preheat: { tls: { insecureSkipVerify: true } }')).toContain('preheat.tls.insecureSkipVerify');
  });
});
