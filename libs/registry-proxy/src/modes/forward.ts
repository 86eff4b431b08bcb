import { ProxyRequestError } from '../errors.ts';

/**
 * The URL of a request to a forward proxy: `GET http://host/path HTTP/1.1`.
 * @throws {ProxyRequestError} another scheme, or credentials in the URL
 */
export function forwardTargetOf(target: string): URL {
  const url = URL.parse(target);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ProxyRequestError(400, 'a request target must be a path such as /v2/, or a URL of http or https');
  }
  if (url.username !== '' || url.password !== '') {
    throw new ProxyRequestError(400, 'a request target must not carry credentials');
  }
  return url;
}
