import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { keptSecret } from './kept-secret.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'd7y-secret-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('keptSecret', () => {
  it('makes one, and gives that from then on, to its owner alone', () => {
    const path = join(folder, 'key');
    expect(keptSecret(path, () => 'first').reveal()).toBe('first');
    expect(keptSecret(path, () => 'second').reveal()).toBe('first');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['key']);
  });

  it('takes the one of another process that was faster', () => {
    const path = join(folder, 'key');
    const slow = keptSecret(path, () => {
      keptSecret(join(folder, 'key'), () => 'faster');
      return 'slower';
    });
    expect(slow.reveal()).toBe('faster');
    expect(readdirSync(folder)).toEqual(['key']);
  });

  it('says where it cannot be kept', () => {
    expect(() => keptSecret(join(folder, 'missing', 'key'), () => 'x')).toThrow(/ENOENT.*missing/);
  });
});
