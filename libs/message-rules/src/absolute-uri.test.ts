import { describe, expect, it } from '@jest/globals';
import { isAbsoluteUri } from './absolute-uri.ts';

describe('isAbsoluteUri', () => {
  it.each([
    'http://h',
    'HTTP://H:80/',
    'http://h:',
    'http:',
    'mailto:a@b',
    'urn:x?y#z',
    'file:///a b',
    'a+b-c.1://x',
    'http://user:pass@h/',
    'http://%E2%82%AC/',
    'http://ä/',
    'http://[::1]:80/x',
    'http://[fe80::1%25eth0]/',
    'http://[::ffff:192.0.2.1]',
    'http://h/%2F',
    'http://h?%zz',
    'http://h/#frag',
    'http://h:99999/',
    'hdfs://nn:9000/d/',
    'http:/no-host',
    'hf://org/model',
  ])('accepts %j', (text) => {
    expect(isAbsoluteUri(text)).toBe(true);
  });

  it.each([
    '',
    '*',
    '/a',
    '//h/a',
    'h/a',
    ':a',
    '1http://h',
    'a_b://h',
    'http ://h',
    'http://h\n',
    '\thttp://h',
    'http://h\u007f',
    'http://a b/',
    'http://h:8o/',
    'http://h%2F/',
    'http://h%zz/',
    'http://h/%',
    'http://h/%a',
    'http://h/#%g',
    'http://[::1/',
    'http://[::1]x/',
    'http://[host]/',
    'http://[::1%25{]/',
    'http://a^b@h/',
    'http://a%zz@h/',
    'http://{h}/',
  ])('refuses %j', (text) => {
    expect(isAbsoluteUri(text)).toBe(false);
  });
});
