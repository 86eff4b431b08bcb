import { describe, expect, it } from '@jest/globals';
import { ask, BLOB_RULE, startProxy } from './_fakes.ts';
import { blockedBy, BlockListError, NOTHING_BLOCKED, parseBlockList } from './block-lists.ts';

const download = { url: 'https://ghcr.io/v2/a/blobs/x', application: 'app', tag: 'tag', priority: 6 };
const listOf = (lists: object) => parseBlockList({ blockList: { task: { download: lists } } });

describe('blockedBy', () => {
  it.each([
    [{ applications: ['app'] }, true],
    [{ applications: ['App', 'ap'] }, false],
    [{ tags: ['other', 'tag'] }, true],
    [{ urls: ['^https://ghcr\\.io/v2/a/'] }, true],
    [{ urls: ['^http://'] }, false],
    [{ priorities: [6] }, true],
    [{ priorities: ['6'] }, true],
    [{ priorities: [0] }, false],
    [{}, false],
  ])('%j blocks: %s', (lists, blocks) => {
    expect(blockedBy(download, listOf(lists)) !== undefined).toBe(blocks);
  });

  it('blocks nothing of what says nothing', () => {
    expect(
      blockedBy({ ...download, application: undefined, tag: undefined }, listOf({ applications: ['a'], tags: ['b'] })),
    ).toBeUndefined();
    for (const config of [undefined, null, {}, { blockList: null }, { block_list: { persistent_task: {} } }]) {
      expect(parseBlockList(config)).toEqual(NOTHING_BLOCKED);
    }
  });
});

describe('parseBlockList', () => {
  it.each([
    5,
    { blockList: [] },
    { blockList: { task: { download: { urls: 'x' } } } },
    { blockList: { task: { download: { urls: ['('] } } } },
    { blockList: { task: { download: { tags: [1] } } } },
    { blockList: { task: { download: { priorities: [7] } } } },
    { blockList: { task: { download: { tags: Array(1001).fill('x') } } } },
  ])('refuses %j', (config) => {
    expect(() => parseBlockList(config)).toThrow(BlockListError);
  });
});

it('answers 403 to what is blocked, without asking engine or upstream', async () => {
  const blockLists = { current: () => listOf({ tags: ['slow'], urls: ['/secret/'] }) };
  await using proxy = await startProxy({}, [BLOB_RULE], { blockLists });
  const blob = `/v2/app/blobs/sha256:${'b'.repeat(64)}`;
  const answers = [
    await ask(proxy.port, blob, { headers: { 'x-dragonfly-tag': 'slow' } }),
    await ask(proxy.port, blob.replace('app', 'secret/app')),
  ];
  for (const { status, headers } of answers)
    expect([status, headers['x-dragonfly-error-type']]).toEqual([403, 'proxy']);
  expect(proxy.engine.requests).toHaveLength(0);
  expect((await ask(proxy.port, blob)).status).toBe(200);
  expect(proxy.metrics.blocked).toBe(2);
});
