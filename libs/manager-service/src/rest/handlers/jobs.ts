import type { AnswerOf, RequestOf } from '@d7y/manager-api';
import { JobRepository, UserRepository } from '@d7y/manager-db';
import type { Call, Handlers } from '../call.ts';
import type { Principal } from '../auth/principal.ts';
import { isRoot, userIdOf } from '../auth/principal.ts';
import { ForbiddenError } from '../errors.ts';
import type { JobRequest } from '../jobs-port.ts';
import type { Services } from '../services.ts';
import { given, pageOf, rowsById } from '../services.ts';
import type { JobRow } from '../views/jobs.ts';
import { preheatStatusOf, toJob, toPreheat } from '../views/jobs.ts';

type JobRoute = Extract<keyof Handlers, `jobs.${string}` | `preheat.${string}`>;
type Submission = Omit<JobRequest, 'userId' | 'idempotencyKey'>;

export function jobHandlers({ database, jobs, now }: Services): Handlers<JobRoute> {
  const rows = new JobRepository(database.db);
  const users = new UserRepository(database.db);

  const show = async (found: readonly JobRow[]): Promise<AnswerOf<'jobs.list'>> => {
    const [clusters, owners] = await Promise.all([
      rows.clustersOf(found.map(({ id }) => id)),
      rowsById(
        found.map(({ userId }) => userId),
        (id) => users.find(id),
      ),
    ]);
    return found.map((row) =>
      toJob(row, {
        user: owners.get(row.userId ?? 0),
        schedulerClusters: clusters.get(row.id)?.schedulerClusters ?? [],
        seedPeerClusters: clusters.get(row.id)?.seedPeerClusters ?? [],
      }),
    );
  };
  const showOne = async (id: number): Promise<AnswerOf<'jobs.get'>> => {
    const [shown] = await show([await rows.get(id)]);
    if (shown === undefined) throw new Error('a job was read and not shown');
    return shown;
  };
  const submit = async (
    call: Call<'jobs.create' | 'preheat.create'>,
    submission: Submission,
    userId: number | undefined,
  ) => {
    const idempotencyKey = call.headers['idempotency-key'];
    const { id, isDuplicate } = await jobs.submit({ ...submission, userId, idempotencyKey }, { signal: call.signal });
    if (isDuplicate) call.setHeader('x-deduplicated', 'true');
    return id;
  };

  return {
    async 'jobs.create'(call) {
      const { body, principal } = call;
      const submission = { type: body.type, args: argsOf(body), bio: body.bio ?? '', ...clustersOf(body) };
      return await showOne(await submit(call, submission, ownerOf(principal, body.user_id)));
    },
    async 'jobs.list'(call) {
      const { type, state, user_id: userId } = call.query;
      // The published states that jobs here are never in.
      if (state === 'RECEIVED' || state === 'STARTED' || state === 'RETRY') {
        call.setTotal(0);
        return [];
      }
      const found = await rows.page({ type, state, userId }, pageOf(call.query));
      call.setTotal(found.total);
      return await show(found.rows);
    },
    'jobs.get': ({ params }) => showOne(params.id),
    async 'jobs.update'({ params, body, principal }) {
      if (body.user_id !== undefined) ownerOf(principal, body.user_id);
      await rows.update(params.id, given({ bio: body.bio, userId: body.user_id }), now());
      return await showOne(params.id);
    },
    async 'jobs.delete'({ params, signal }) {
      await jobs.remove(params.id, { signal });
      return undefined;
    },
    async 'jobs.cancel'({ params, signal }) {
      await jobs.cancel(params.id, { signal });
      return await showOne(params.id);
    },
    async 'jobs.retry'({ params, signal }) {
      await jobs.retry(params.id, { signal });
      return await showOne(params.id);
    },
    async 'preheat.create'(call) {
      const { scheduler_cluster_ids, ...args } = call.body;
      const submission = {
        ...({ type: 'preheat', args, bio: '' } as const),
        ...{ schedulerClusterIds: scheduler_cluster_ids ?? [], seedPeerClusterIds: [] },
      };
      const id = await submit(call, submission, userIdOf(call.principal));
      return { id: String(id), job_id: id, status: preheatStatusOf(await rows.get(id)) };
    },
    async 'preheat.get'({ params }) {
      return toPreheat(await rows.get(params.id));
    },
  };
}

type JobBody = RequestOf<'jobs.create'>['body'];

const clustersOf = ({ scheduler_cluster_ids, seed_peer_cluster_ids }: JobBody) => ({
  schedulerClusterIds: scheduler_cluster_ids ?? [],
  seedPeerClusterIds: seed_peer_cluster_ids ?? [],
});

function argsOf(body: JobBody): JobRequest['args'] {
  return body.args ?? {};
}

/** Who answers for a job: who asks, or whom root names. @throws {ForbiddenError} */
function ownerOf(principal: Principal, named: number | null | undefined): number | undefined {
  const own = userIdOf(principal);
  if (named === undefined || named === null || named === 0 || named === own) return own;
  if (!isRoot(principal)) throw new ForbiddenError('only root gives a job to somebody else');
  return named;
}
