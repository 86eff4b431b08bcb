import { describe, expect, it } from '@jest/globals';
import { joinSecrets, lackSecrets, splitSecrets } from './job-secrets.ts';

const ARGS = {
  type: 'image',
  url: 'https://r.example/v2/a/manifests/b',
  urls: ['https://s3.example/x?X-Amz-Signature=planted', 'https://s3.example/y'],
  headers: { Authorization: 'Bearer planted', Accept: '*/*' },
  username: 'user',
  password: 'planted',
};

describe('the arguments of a job', () => {
  it('are stored without what nobody may read', () => {
    const { shown, secret } = splitSecrets(ARGS);
    expect(JSON.stringify(shown)).not.toContain('planted');
    expect(shown).toMatchObject({
      url: ARGS.url,
      username: 'user',
      headers: { Authorization: '[secret]', Accept: '*/*' },
    });
    expect(lackSecrets(shown)).toBe(true);
    expect(String(secret)).not.toContain('planted');
    expect(joinSecrets(shown, secret)).toEqual(ARGS);
  });

  it('stay as they are when there is nothing to hide', () => {
    const plain = { type: 'file', url: 'https://a.example/b', headers: { Accept: '*/*' } };
    const { shown, secret } = splitSecrets(plain);
    expect([shown, secret, lackSecrets(shown)]).toEqual([plain, undefined, false]);
    expect(joinSecrets(shown, secret)).toEqual(plain);
  });
});
