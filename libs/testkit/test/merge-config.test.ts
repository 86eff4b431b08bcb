import { describe, expect, it } from '@jest/globals';
import { mergeConfig } from '../src/cluster/merge-config.ts';

describe('mergeConfig', () => {
  it('joins sections and replaces everything else', () => {
    const base = { proxy: { server: { port: 1 }, rules: [1, 2] }, keep: true };
    const over = { proxy: { server: { ip: 'x' }, rules: [3] }, keep: false };
    expect(mergeConfig(base, over)).toEqual({ proxy: { server: { port: 1, ip: 'x' }, rules: [3] }, keep: false });
    expect(base.proxy.server).toEqual({ port: 1 });
  });
});
