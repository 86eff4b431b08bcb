import { describe, expect, it } from '@jest/globals';
import { TagBook } from './tag-book.ts';

const NAME = { registry: 'https://r.example', repository: 'library/nginx', tag: 'latest', accept: 'a/b' };
const meaning = (digest: string, seenAtMs: number) => ({ ...NAME, digest, mediaType: 'a/b', size: 7, seenAtMs });

describe('TagBook', () => {
  it('tells what a tag meant, newest first, and nothing under another name', () => {
    const book = new TagBook();
    book.record(meaning('sha256:old', 10), 100);
    book.record(meaning('sha256:new', 20), 100);
    book.record(meaning('sha256:older', 5), 100);
    expect(book.find(NAME, 100).map(({ digest }) => digest)).toEqual(['sha256:new', 'sha256:old', 'sha256:older']);
    expect(book.find({ ...NAME, accept: 'c/d' }, 100)).toEqual([]);
  });

  it('moves a meaning that was confirmed to the front, and no older word moves it back', () => {
    const book = new TagBook();
    book.record(meaning('sha256:a', 10), 100);
    book.record(meaning('sha256:b', 20), 100);
    book.record(meaning('sha256:a', 30), 100);
    book.record(meaning('sha256:a', 1), 100);
    expect(book.find(NAME, 100)).toEqual([meaning('sha256:a', 30), meaning('sha256:b', 20)]);
  });

  it('takes nobody for newer than now', () => {
    const book = new TagBook();
    book.record(meaning('sha256:ahead', 9_999), 100);
    book.record(meaning('sha256:b', 150), 150);
    expect(book.find(NAME, 150)[0]?.digest).toBe('sha256:b');
  });

  it('is bounded in meanings, names and age', () => {
    const book = new TagBook({ maxTags: 2, maxMeanings: 2, ttlMs: 100 });
    for (const at of [1, 2, 3]) book.record(meaning(`sha256:${at}`, at), 10);
    expect(book.find(NAME, 10).map(({ seenAtMs }) => seenAtMs)).toEqual([3, 2]);
    book.record({ ...meaning('sha256:x', 10), tag: 'b' }, 10);
    book.find(NAME, 10);
    book.record({ ...meaning('sha256:x', 10), tag: 'c' }, 10);
    expect(book.find({ ...NAME, tag: 'b' }, 10)).toEqual([]);
    expect(book.find(NAME, 102)).toEqual([meaning('sha256:3', 3)]);
    expect(book.find(NAME, 103)).toEqual([]);
    expect(book.size).toBe(1);
  });
});
