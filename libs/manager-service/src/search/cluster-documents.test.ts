import { describe, expect, it } from '@jest/globals';
import { blockedBy, parseBlockList } from '@d7y/registry-proxy';
import { clientConfigOf, jsonBytes, scopesOf } from './cluster-documents.ts';

const problems: string[] = [];
const sent = (config: Record<string, unknown>): unknown =>
  JSON.parse(Buffer.from(jsonBytes(clientConfigOf(config, (problem) => problems.push(problem)))).toString());

describe('clientConfigOf', () => {
  it('is what our own daemons read, too', () => {
    const config = sent({
      load_limit: 200,
      block_list: { task: { download: { applications: ['spy'], urls: ['/secret/'], tags: ['t'], priorities: [5] } } },
    });
    expect(config).toEqual({
      load_limit: 200,
      block_list: { task: { download: { applications: ['spy'], urls: ['/secret/'], tags: ['t'], priorities: [5] } } },
    });
    const list = parseBlockList(config);
    const download = { url: 'https://a/', application: 'x', tag: 'y', priority: 0 };
    expect(blockedBy(download, list)).toBeUndefined();
    expect(blockedBy({ ...download, url: 'https://a/secret/1' }, list)).toContain('URL');
    expect(blockedBy({ ...download, application: 'spy' }, list)).toContain('spy');
    expect(blockedBy({ ...download, priority: 5 }, list)).toContain('5');
  });

  it('never has a list of URLs that is no list: stock daemons would ignore all of it', () => {
    expect(
      sent({
        block_list: {
          task: { download: { applications: null, urls: null, tags: ['t'] } },
          persistent_task: { download: {}, upload: { urls: ['u'] } },
          persistent_cache_task: null,
        },
      }),
    ).toEqual({
      block_list: {
        task: { download: { urls: [], tags: ['t'] } },
        persistent_task: { download: { urls: [] }, upload: { urls: ['u'] } },
      },
    });
    expect(sent({ block_list: null, load_limit: null })).toEqual({});
    expect(sent({})).toEqual({});
  });

  it('leaves out a pattern that is none, and says so', () => {
    problems.length = 0;
    expect(sent({ block_list: { task: { download: { urls: ['(', 'ok'] } } } })).toEqual({
      block_list: { task: { download: { urls: ['ok'] } } },
    });
    expect(problems).toEqual([expect.stringContaining('"("')]);
  });
});

describe('scopesOf', () => {
  it('takes what has another form for nothing', () => {
    expect(scopesOf({ idc: 1, cidrs: null, hostnames: ['a', 2] })).toEqual({
      ...{ idc: '', location: '', cidrs: [], hostnames: ['a'] },
    });
  });
});
