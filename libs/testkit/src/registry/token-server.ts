import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenHttp } from '../http/listen-http.ts';
import { tempDir } from '../scratch/temp-dir.ts';
import { makeSigningCertificate } from './certificates.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface TokenServerOptions {
  /** Who gets tokens. Default: test, s3cret. */
  readonly credentials?: Credentials;
  /** Whether callers without credentials get tokens for pulling, as for public images of a hub. Default: false. */
  readonly anonymous?: boolean;
  /** Default: 300. */
  readonly lifetimeSeconds?: number;
}

/** One request for a token. */
export interface TokenRequest {
  readonly method: string;
  /** Such as `repository:test/app:pull`. */
  readonly scopes: readonly string[];
  /** Empty for an anonymous caller. */
  readonly account: string;
  readonly status: number;
}

/** Issues Bearer tokens as the token services of registries do. */
export interface TokenServer extends AsyncDisposable {
  /** The realm that the registry names in its challenge. */
  readonly realm: string;
  /** The registry believes tokens that this certificate's key signed. */
  readonly certFile: string;
  readonly service: string;
  readonly issuer: string;
  readonly requests: readonly TokenRequest[];
  /** Every token ever issued: none of them may turn up in a log. */
  readonly issuedTokens: readonly string[];
}

const SERVICE = 'test-registry';
const ISSUER = 'test-issuer';

/** Starts a token server in this process, on a free port of loopback. */
export async function startTokenServer(options: TokenServerOptions = {}): Promise<TokenServer> {
  const { credentials = { username: 'test', password: 's3cret' }, anonymous = false, lifetimeSeconds = 300 } = options;
  await using stack = new AsyncDisposableStack();
  const pair = await makeSigningCertificate(stack.use(await tempDir('d7y-token')).path);
  const key = createPrivateKey(pair.key);
  const header = { typ: 'JWT', alg: 'ES256', x5c: [new X509Certificate(pair.cert).raw.toString('base64')] };
  const requests: TokenRequest[] = [];
  const issuedTokens: string[] = [];

  const issue = (account: string, scopes: readonly string[]): string => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: ISSUER,
      sub: account,
      aud: SERVICE,
      nbf: now - 10,
      iat: now,
      exp: now + lifetimeSeconds,
      jti: randomUUID(),
      access: scopes.map((scope) => grant(scope, account !== '')),
    };
    const signed = `${base64url(header)}.${base64url(claims)}`;
    const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const form = request.method === 'POST' ? new URLSearchParams(await text(request)) : undefined;
    const query = form ?? new URL(request.url ?? '/', 'http://token').searchParams;
    const caller = callerOf(request, form);
    const known = caller.username === credentials.username && caller.password === credentials.password;
    const allowed = known || (anonymous && caller.username === '');
    const scopes = query
      .getAll('scope')
      .flatMap((scope) => scope.split(' '))
      .filter((scope) => scope !== '');
    requests.push({ method: request.method ?? '', scopes, account: caller.username, status: allowed ? 200 : 401 });
    response.writeHead(allowed ? 200 : 401, { 'content-type': 'application/json' });
    if (!allowed) {
      response.end('{"errors":[{"code":"UNAUTHORIZED"}]}');
      return;
    }
    const token = issue(known ? caller.username : '', scopes);
    issuedTokens.push(token);
    const body = { token, access_token: token, expires_in: lifetimeSeconds, issued_at: new Date().toISOString() };
    response.end(JSON.stringify(body));
  };

  const server = stack.use(
    await listenHttp((request, response) => {
      answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    }),
  );
  const resources = stack.move();
  return {
    realm: `${server.url}/token`,
    certFile: pair.certFile,
    service: SERVICE,
    issuer: ISSUER,
    requests,
    issuedTokens,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function base64url(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** What the token allows of `type:name:actions`: anonymous callers may only pull. The name may hold colons. */
function grant(scope: string, known: boolean): { type: string; name: string; actions: string[] } {
  const [type = '', ...rest] = scope.split(':');
  const actions = (rest.pop() ?? '').split(',').filter((action) => known || action === 'pull');
  return { type, name: rest.join(':'), actions };
}

/** Credentials of a token request: fields of the form (OAuth 2 style) or a Basic header. */
function callerOf(request: IncomingMessage, form: URLSearchParams | undefined): Credentials {
  const fromForm = form?.get('username');
  if (fromForm) return { username: fromForm, password: form?.get('password') ?? '' };
  const basic = Buffer.from((request.headers.authorization ?? '').replace(/^Basic /i, ''), 'base64').toString();
  const colon = basic.indexOf(':');
  return colon < 0
    ? { username: '', password: '' }
    : { username: basic.slice(0, colon), password: basic.slice(colon + 1) };
}
