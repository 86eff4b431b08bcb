import { describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { ProxyRequestError } from '../errors.ts';
import { ProxyAuth } from './proxy-auth.ts';
import { RequestRate } from './request-rate.ts';

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
const auth = new ProxyAuth({ username: 'node', password: new Secret('pa:ss') });

function refusalOf(work: () => unknown): ProxyRequestError {
  try {
    work();
  } catch (error) {
    return error as ProxyRequestError;
  }
  throw new Error('nothing was refused');
}

describe('ProxyAuth', () => {
  it('weakness 1: wrong proxy credentials are refused, whatever they look like', () => {
    const wrong = [undefined, '', 'x', 'anything-without-a-space', 'Basic', 'Basic ', 'Basic !', basic('node:pa:s')];
    for (const value of [...wrong, basic('node'), basic('Node:pa:ss'), 'Bearer abc', `Basic ${'A'.repeat(10_000)}`]) {
      for (const mode of ['forward', 'connect', 'mirror', 'prefix'] as const) {
        const headers = value === undefined ? {} : { 'proxy-authorization': value, authorization: value };
        const { status, headers: answered } = refusalOf(() => auth.admit(headers, mode));
        const isProxyClient = mode === 'forward' || mode === 'connect';
        expect(status).toBe(isProxyClient ? 407 : 401);
        expect(answered[isProxyClient ? 'proxy-authenticate' : 'www-authenticate']).toMatch(/^Basic realm=/);
      }
    }
  });

  it('weakness 1: what convinced the proxy is not forwarded, and what is for the registry stays', () => {
    const proxy = basic('node:pa:ss');
    expect(auth.admit({ 'proxy-authorization': proxy, authorization: 'Bearer r', accept: 'x' }, 'mirror')).toEqual({
      authorization: 'Bearer r',
      accept: 'x',
    });
    expect(auth.admit({ authorization: proxy, accept: 'x' }, 'prefix')).toEqual({ accept: 'x' });
    expect(auth.admit({ 'proxy-authorization': proxy, authorization: 'Bearer r' }, 'forward')).toEqual({
      authorization: 'Bearer r',
    });
    // Credentials of a forward proxy are never taken from Authorization: it is the origin's.
    expect(refusalOf(() => auth.admit({ authorization: proxy }, 'forward')).status).toBe(407);
  });

  it('lets everybody in where no credentials are configured, and in what was let in with its CONNECT', () => {
    const headers = { 'proxy-authorization': 'x', authorization: 'Bearer r' };
    expect(new ProxyAuth(undefined).admit(headers, 'forward')).toEqual({ authorization: 'Bearer r' });
    expect(auth.admit({ authorization: 'Bearer r' }, 'intercepted')).toEqual({ authorization: 'Bearer r' });
  });
});

describe('RequestRate', () => {
  it('weakness 37: lets a second of requests through at once, then as many as time brings', () => {
    let now = 0;
    const rate = new RequestRate(3, () => now);
    for (let count = 0; count < 3; count++) rate.admit();
    expect(refusalOf(() => rate.admit())).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
    now = 400;
    rate.admit();
    expect(refusalOf(() => rate.admit()).status).toBe(429);
    now = 60_000;
    for (let count = 0; count < 3; count++) rate.admit();
    expect(refusalOf(() => rate.admit()).status).toBe(429);
  });
});
