import { describe, expect, it } from '@jest/globals';
import { DigestFormatError } from '@d7y/piece';
import { createLogger } from './logger.ts';
import type { LoggerOptions } from './logger.ts';
import { Secret } from './secret.ts';

function logTo(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const logger = createLogger({
    name: 'test',
    level: 'trace',
    stream: { write: (line) => void lines.push(line) },
    ...options,
  });
  return { logger, lines, last: () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown> };
}

describe('createLogger', () => {
  it('weakness 9: prints none of the credentials that are planted everywhere', () => {
    const { logger, lines } = logTo();
    const planted = 'pl4nt3d';
    const url = `https://user:${planted}@registry.example/v2/x?X-Amz-Signature=${planted}&ns=docker.io`;
    const cause = Object.assign(new Error(`401 from ${url} with Bearer ${planted}abc`), {
      headers: { authorization: `Bearer ${planted}`, 'content-type': 'text/plain' },
      password: planted,
      config: { auth: { username: 'a', password: planted } },
    });
    const error = new Error(`fetch failed: Authorization: Basic ${planted}==`, {
      cause: new AggregateError([cause], `token=${planted}`),
    });
    class Client {
      readonly key = planted;
    }
    const headers = {
      Authorization: `Bearer ${planted}`,
      cookie: `sid=${planted}`,
      'Set-Cookie': [`sid=${planted}`],
      host: 'h',
    };

    logger.info(
      {
        headers,
        requestHeaders: new Headers({ 'x-registry-auth': planted }),
        responseHeaders: new Map(Object.entries(headers)),
      },
      'headers',
    );
    logger.info(
      { url, location: url, target: `/v2/?sig=${planted}`, parsed: new URL(url), note: `see ${url}` },
      `got ${url}`,
    );
    logger.info({
      a: { b: { c: [{ token: planted, accessToken: planted, access_token: planted, clientSecret: planted }] } },
    });
    logger.info({
      secret: new Secret(planted),
      deep: { list: [new Secret(planted)] },
      apiKey: planted,
      signature: planted,
    });
    logger.info({ client: new Client(), bytes: Buffer.from(planted) }, 'client');
    logger.info({ authorization: { toJSON: () => planted }, tokens: [planted], cookies: { sid: planted } });
    logger.error(error);
    logger.error({ err: error });
    logger.error({ err: error, error }, 'failed: %s', url);
    logger.warn('got %s and %o', `Bearer ${planted}xyz`, { password: planted, inner: { url } });
    logger.child({ url, password: planted, headers }).child({ token: planted }).info('from a grandchild');
    logger.info({ [`https://h/?k=${planted}`]: 1 }, 'as a key');

    expect(lines).toHaveLength(12);
    expect(lines.filter((line) => line.includes(planted))).toEqual([]);
    expect(lines.join('')).toContain('registry.example/v2/x?X-Amz-Signature=*&ns=*');
  });

  it('keeps what operators need: safe headers, error fields, causes, stacks', () => {
    const { logger, last } = logTo();
    logger.error(
      { err: new DigestFormatError('sha256:zz'), headers: { Range: 'bytes=0-0', authorization: 'x' } },
      'pull failed',
    );
    expect(last()).toMatchObject({
      level: 'error',
      name: 'test',
      msg: 'pull failed',
      headers: { range: 'bytes=0-0' },
      err: { type: 'DigestFormatError', code: 'DIGEST_FORMAT', retryable: false, text: 'sha256:zz' },
    });
    logger.error(new Error('outer', { cause: new Error('inner') }));
    expect(last()).toMatchObject({ msg: 'outer', err: { message: 'outer', cause: { message: 'inner' } } });
  });

  it('survives values that JSON does not know, circles and depth', () => {
    const { logger, last } = logTo();
    const circle: Record<string, unknown> = { size: 5n, when: new Date(0), fn: () => 1, nothing: null };
    circle['self'] = circle;
    logger.info(circle, 'odd');
    expect(last()).toMatchObject({ size: '5', when: '1970-01-01T00:00:00.000Z', nothing: null, msg: 'odd' });
  });

  it('writes lines for people when asked', () => {
    const { logger, lines } = logTo({ console: true });
    logger.warn({ taskId: 'abc', pieces: 3 }, 'slow');
    expect(lines[0]).toMatch(/^\S+ WARN {2}test: slow taskId=abc pieces=3\n$/);
  });

  it('leaves out what is below its level', () => {
    const { logger, lines } = logTo({ level: 'warn' });
    logger.info('quiet');
    expect(lines).toEqual([]);
  });
});
