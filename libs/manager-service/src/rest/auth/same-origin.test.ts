import { describe, expect, it } from '@jest/globals';
import { originOf } from './same-origin.ts';

const at = (headers: Record<string, string>, allowed: string[] = []) =>
  originOf({ headers, host: 'manager.example:8080' }, allowed);

describe('originOf', () => {
  it.each([
    ['same', { 'sec-fetch-site': 'same-origin' }],
    ['same', { 'sec-fetch-site': 'none' }],
    ['same', { origin: 'http://manager.example:8080' }],
    ['same', { origin: 'https://manager.example:8080' }],
    ['other', { 'sec-fetch-site': 'cross-site', origin: 'http://manager.example:8080' }],
    ['other', { 'sec-fetch-site': 'same-site' }],
    ['other', { origin: 'http://manager.example' }],
    ['other', { origin: 'http://manager.example:8080.evil.example' }],
    ['other', { origin: 'null' }],
    ['unknown', {}],
  ])('says %s of %j', (expected, headers) => {
    expect(at(headers as unknown as Record<string, string>)).toBe(expected);
  });

  it('believes origins that configuration allows', () => {
    const headers = { origin: 'https://console.example', 'sec-fetch-site': 'cross-site' };
    expect(at(headers)).toBe('other');
    expect(at(headers, ['https://console.example'])).toBe('same');
  });
});
