import { describe, expect, it } from '@jest/globals';
import { blockedBy } from '@d7y/registry-proxy';
import { FileBlockLists } from './file-block-lists.ts';

const FILE = `
scheduler: { addrs: ["10.0.0.1:8002"] }
clientConfig: { loadLimit: 50, blockList: { task: { download: { tags: [slow], urls: ["/private/"] } } } }
seedClientConfig: { block_list: { task: { download: { priorities: [1] } } } }
`;
const download = { url: 'http://x/private/y', application: undefined, tag: undefined, priority: 6 };

function listsOf(isSeed: boolean) {
  const file = { text: FILE as string | undefined };
  const warnings: object[] = [];
  const lists = new FileBlockLists({
    ...{ path: 'dynconfig.yaml', isSeed },
    read: () =>
      file.text === undefined
        ? Promise.reject(Object.assign(new Error('no such file'), { code: 'ENOENT' }))
        : Promise.resolve(file.text),
    logger: { warn: (fields: object) => void warnings.push(fields) } as never,
  });
  return { lists, file, warnings };
}

describe('FileBlockLists', () => {
  it('has one list for peers and one for seeds', async () => {
    for (const isSeed of [false, true]) {
      const { lists, warnings } = listsOf(isSeed);
      expect(blockedBy(download, lists.current())).toBeUndefined();
      await lists.refresh();
      expect(blockedBy(download, lists.current()) !== undefined).toBe(!isSeed);
      expect(blockedBy({ ...download, url: 'http://x', priority: 1 }, lists.current()) !== undefined).toBe(isSeed);
      expect(warnings).toEqual([]);
    }
  });

  it('keeps what is in force while the file is unusable, and ends it when the file is gone', async () => {
    const { lists, file, warnings } = listsOf(false);
    await lists.refresh();
    for (const broken of [
      '{',
      'clientConfig: { blockList: { task: { download: { urls: ["("] } } } }',
      'clientConfig: 5',
    ]) {
      file.text = broken;
      await lists.refresh();
      expect(blockedBy(download, lists.current())).toBeDefined();
    }
    expect(warnings).toHaveLength(3);
    file.text = undefined;
    await lists.refresh();
    expect(blockedBy(download, lists.current())).toBeUndefined();
  });
});
