import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { createPreheat } from '@d7y/manager-api';
import type { AnswerOf } from '@d7y/manager-api';

type Job = AnswerOf<'jobs.get'>;

/** What a manager was asked. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

export interface StandIn extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
}

export const job = (change: Partial<Job> = {}): Job => ({
  ...{ id: 7, created_at: '2026-03-01T12:00:00.000Z', updated_at: '2026-03-01T12:00:00.000Z', is_del: 0 },
  ...{ task_id: 'group_7', bio: '', type: 'preheat', state: 'PENDING', phase: 'PENDING', result: null, progress: null },
  ...{ args: { type: 'image', url: 'ghcr.io/org/app:1' }, error: null, user_id: 0, user: null },
  ...{ seed_peer_clusters: [], scheduler_clusters: [] },
  ...change,
});

/**
 * Answers as a manager does, one job after the other, the last one for ever.
 * @param token which it wants; none: routes are open
 */
export async function startStandIn(jobs: readonly Job[], token?: string): Promise<StandIn> {
  const asked: Asked[] = [];
  let next = 0;
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    };
    const { method = '', url: path = '' } = request;
    void (async () => {
      const sent = await text(request);
      const body: unknown = sent === '' ? undefined : JSON.parse(sent);
      asked.push({ method, path, authorization: request.headers.authorization, body });
      if (token !== undefined && request.headers.authorization !== `Bearer ${token}`)
        return answer(401, { message: 'sign in first' });
      const current = jobs[Math.min(next, jobs.length - 1)] ?? job();
      const route = `${method} ${path.replace(/^\/(o?api)\/v1/, '').replace(/\?.*/, '')}`;
      if (route === 'POST /preheat') {
        const { success, error } = createPreheat.safeParse(body);
        return success
          ? answer(200, { id: '7', job_id: 7, status: 'WAITING' })
          : answer(422, { errors: error.message });
      }
      if (route === 'GET /jobs') return answer(200, [current], { 'x-total-count': '31' });
      if (/^(GET \/jobs\/7|POST \/jobs\/7\/(cancel|retry))$/.test(route)) {
        if (method === 'GET') next++;
        return answer(200, current);
      }
      return answer(404, { message: 'there is no job 8' });
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
