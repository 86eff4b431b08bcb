import { describe, expect, it } from '@jest/globals';
import { TagBook } from './tag-book.ts';

const NAME = { registry: 'https://r.example', repository: 'library/nginx', tag: 'latest', accept: 'a/b' };
const meaning = (digest: string, seenAtMs: number) => ({ ...NAME, digest, mediaType: 'a/b', size: 7, seenAtMs });

describe('TagBook', () => {
  it('tells what a tag meant, newest first, and nothing under another name', () => {
    const book = new TagBook();
    book.record(meaning('sha256:old', 10), 'host', 100);
    book.record(meaning('sha256:new', 20), 'host', 100);
    book.record(meaning('sha256:older', 5), 'host', 100);
    expect(book.find(NAME, 100).map(({ digest }) => digest)).toEqual(['sha256:new', 'sha256:old', 'sha256:older']);
    expect(book.find({ ...NAME, accept: 'c/d' }, 100)).toEqual([]);
  });

  it('moves a meaning that was confirmed to the front, and no older word moves it back', () => {
    const book = new TagBook();
    book.record(meaning('sha256:a', 10), 'host', 100);
    book.record(meaning('sha256:b', 20), 'host', 100);
    book.record(meaning('sha256:a', 30), 'host', 100);
    book.record(meaning('sha256:a', 1), 'host', 100);
    expect(book.find(NAME, 100)).toEqual([meaning('sha256:a', 30), meaning('sha256:b', 20)]);
  });

  it('takes nobody for newer than now', () => {
    const book = new TagBook();
    book.record(meaning('sha256:ahead', 9_999), 'host', 100);
    book.record(meaning('sha256:b', 150), 'host', 150);
    expect(book.find(NAME, 150)[0]?.digest).toBe('sha256:b');
  });

  it('is bounded in meanings, names and age', () => {
    const book = new TagBook({ maxTags: 2, maxMeanings: 2, ttlMs: 100 });
    for (const at of [1, 2, 3]) book.record(meaning(`sha256:${at}`, at), 'host', 10);
    expect(book.find(NAME, 10).map(({ seenAtMs }) => seenAtMs)).toEqual([3, 2]);
    book.record({ ...meaning('sha256:x', 10), tag: 'b' }, 'host', 10);
    book.find(NAME, 10);
    book.record({ ...meaning('sha256:x', 10), tag: 'c' }, 'host', 10);
    expect(book.find({ ...NAME, tag: 'b' }, 10)).toEqual([]);
    expect(book.find(NAME, 102)).toEqual([meaning('sha256:3', 3)]);
    expect(book.find(NAME, 103)).toEqual([]);
    expect(book.size).toBe(1);
  });

  it('believes two hosts rather than one, whoever spoke last', () => {
    const book = new TagBook();
    book.record(meaning('sha256:true', 10), 'a', 100);
    book.record(meaning('sha256:false', 90), 'liar', 100);
    book.record(meaning('sha256:false', 95), 'liar', 100);
    expect(book.find(NAME, 100)).toHaveLength(2);
    book.record(meaning('sha256:true', 20), 'b', 100);
    expect(book.find(NAME, 100)).toEqual([meaning('sha256:true', 20)]);
    book.record(meaning('sha256:moved', 96), 'a', 100);
    expect(book.find(NAME, 100).map(({ digest }) => digest)).toEqual(['sha256:true']);
    book.record(meaning('sha256:moved', 97), 'b', 100);
    expect(book.find(NAME, 100).map(({ digest }) => digest)).toEqual(['sha256:moved', 'sha256:true']);
  });

  it('keeps what two agree on, however much one alone says', () => {
    const book = new TagBook({ maxMeanings: 2 });
    for (const host of ['a', 'b']) book.record(meaning('sha256:true', 10), host, 100);
    for (let at = 20; at < 30; at++) book.record(meaning(`sha256:${at}`, at), 'liar', 100);
    expect(book.find(NAME, 100)).toEqual([meaning('sha256:true', 10)]);
  });

  it('takes the word of a host back, and lets none bring in more than its share', () => {
    const book = new TagBook({ maxTagsPerHost: 1 });
    book.record(meaning('sha256:x', 10), 'liar', 100);
    book.record({ ...meaning('sha256:x', 10), tag: 'second' }, 'liar', 100);
    expect(book.size).toBe(1);
    book.record({ ...meaning('sha256:x', 10), tag: 'second' }, 'other', 100);
    book.retract('liar');
    expect(book.find(NAME, 100)).toEqual([]);
    expect(book.size).toBe(1);
    book.record(meaning('sha256:y', 10), 'liar', 100);
    expect(book.size).toBe(2);
  });
});
