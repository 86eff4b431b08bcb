import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createPreheat, preheatArgs } from './job-args.ts';
import { createJob } from './jobs.ts';

const IMAGE = { type: 'image', url: 'https://harbor.example/v2/library/nginx/manifests/1.25' };

describe('arguments of a preheat', () => {
  it('take what Harbor sends, with its nulls, zeros and empty texts', () => {
    const sent = {
      type: 'preheat',
      args: {
        ...IMAGE,
        tag: '',
        filtered_query_params: '',
        headers: { Authorization: 'Bearer x' },
        scope: '',
        concurrent_count: 0,
        timeout: 0,
      },
      scheduler_cluster_ids: null,
    };
    expect(createJob.parse(sent)).toEqual({
      type: 'preheat',
      args: { ...IMAGE, headers: { Authorization: 'Bearer x' } },
      scheduler_cluster_ids: null,
    });
    expect(createJob.parse({ ...sent, args: { ...sent.args, headers: null } }).args).toEqual(IMAGE);
  });

  it.each([
    ['an unknown scope', { ...IMAGE, scope: 'everybody' }],
    ['no type', { url: IMAGE.url }],
    ['no url', { type: 'image' }],
    ['several urls of an image', { type: 'image', urls: ['http://a', 'http://b'] }],
    ['a line break in a header', { ...IMAGE, headers: { Authorization: 'a\r\nb: c' } }],
    ['a header without a name', { ...IMAGE, headers: { '': 'x' } }],
    ['too many addresses', { ...IMAGE, ips: Array.from({ length: 101 }, (_, n) => `10.0.0.${n}`) }],
    ['a name for an address', { ...IMAGE, ips: ['node-1'] }],
    ['more than everybody', { ...IMAGE, percentage: 101 }],
    ['a piece of 1 MiB', { ...IMAGE, piece_length: 1_048_576 }],
    ['a platform without architecture', { ...IMAGE, platform: 'linux' }],
    ['a timeout in words', { ...IMAGE, timeout: 'soon' }],
  ])('refuse %s', (_what, args) => {
    expect(preheatArgs.safeParse(args).success).toBe(false);
  });

  it('take a timeout in nanoseconds and as a text', () => {
    expect(preheatArgs.parse({ ...IMAGE, timeout: 1_800_000_000_000 }).timeout).toBe(1_800_000_000_000);
    expect(preheatArgs.parse({ ...IMAGE, timeout: '30m' }).timeout).toBe('30m');
  });

  it('take or refuse whatever they are given, and never throw', () => {
    fc.assert(
      fc.property(fc.anything(), (args) => {
        expect(() => preheatArgs.safeParse(args)).not.toThrow();
        expect(() => createPreheat.safeParse(args)).not.toThrow();
        expect(() => createJob.safeParse({ type: 'preheat', args })).not.toThrow();
      }),
    );
  });
});

describe('a job', () => {
  it('may have no field that nobody knows, other than in its arguments', () => {
    expect(createJob.safeParse({ type: 'preheat', args: { ...IMAGE, unheard: 1 } }).success).toBe(true);
    expect(createJob.safeParse({ type: 'preheat', args: IMAGE, unheard: 1 }).success).toBe(false);
  });

  it('is of a known type', () => {
    expect(createJob.safeParse({ type: 'get_tasks', args: {} }).success).toBe(false);
    expect(createJob.parse({ type: 'sync_peers' })).toEqual({ type: 'sync_peers' });
  });

  it('that is about one task names it in one way', () => {
    const task = (args: object) => createJob.safeParse({ type: 'delete_task', args }).success;
    expect(task({ task_id: 'a'.repeat(64) })).toBe(true);
    expect(task({ url: 'http://a/b' })).toBe(true);
    expect(task({ url: 'http://a/b', task_id: 'x' })).toBe(false);
    expect(task({})).toBe(false);
  });
});
