import { blockedBy } from '@d7y/registry-proxy';
import { describe, expect, it } from '@jest/globals';
import { silentLogger } from '../_silent-logger.ts';
import { ManagedBlockList } from './managed-block-list.ts';

const DOWNLOAD = { url: 'https://host/file', tag: 'nightly', priority: 6 };

describe('ManagedBlockList', () => {
  it('follows what the manager says, and keeps it while that cannot be read', () => {
    let text = '';
    const list = new ManagedBlockList(() => text, silentLogger);
    const judged = () => blockedBy(DOWNLOAD, list.current());
    expect(judged()).toBeUndefined();
    text = '{"load_limit":50,"block_list":{"task":{"download":{"tags":["nightly"],"urls":null}}}}';
    expect(judged()).toBe('the tag nightly is blocked');
    text = '{"block_list":';
    expect(judged()).toBe('the tag nightly is blocked');
    text = '{"load_limit":50}';
    expect(judged()).toBeUndefined();
  });
});
