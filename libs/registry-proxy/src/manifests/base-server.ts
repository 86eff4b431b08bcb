import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AccessPolicy } from '../access/access-policy.ts';
import { isNobody } from '../access/access-request.ts';
import { UpstreamUnreachableError } from '../errors.ts';
import { splitCredentials } from '../http-headers.ts';
import type { BaseAnswers } from './base-answers.ts';
import type { FrontExchange } from './manifest-front.ts';

const BODY = '{}';

/**
 * Answers `/v2/`, by which clients find out whether they talk to a registry and what it wants of them: the registry does, unless it is
 * down, or this node has credentials of its own to act with for a caller who brings none.
 * @throws what `carry` throws
 */
export async function answerBase(
  { access, bases }: { readonly access: AccessPolicy; readonly bases: BaseAnswers },
  { upstream, headers }: { readonly upstream: string; readonly headers: IncomingHttpHeaders },
  { response, log, carry }: FrontExchange,
): Promise<void> {
  const { credentials } = splitCredentials(headers);
  const caller = {
    url: `${upstream}/v2/`,
    upstream,
    scope: '',
    digest: undefined,
    headers: {},
    signature: [],
    credentials,
  };
  if (isNobody(caller) && !isNobody(access.actingAs(caller))) {
    log.known('this node has credentials for the registry');
    return answer(response, undefined);
  }
  if (!access.health.isDown(upstream)) {
    try {
      const { status, challenge } = await carry();
      if (status === 200 || status === 401) bases.learn(upstream, challenge);
      return;
    } catch (error) {
      if (!(error instanceof UpstreamUnreachableError) || response.headersSent) throw error;
      access.health.markDown(upstream);
    }
  }
  log.known('the registry is down');
  answer(response, isNobody(caller) ? bases.challengeWhenDown(upstream) : undefined);
}

function answer(response: ServerResponse, challenge: string | undefined): void {
  response.writeHead(challenge === undefined ? 200 : 401, {
    'content-type': 'application/json',
    'content-length': BODY.length,
    'docker-distribution-api-version': 'registry/2.0',
    ...(challenge === undefined ? {} : { 'www-authenticate': challenge }),
  });
  response.end(BODY);
}
