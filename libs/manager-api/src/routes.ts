import type { z } from 'zod';
import type { Route } from './route.ts';
import { APPLICATION_ROUTES } from './routes/applications.ts';
import { CLUSTER_ROUTES } from './routes/clusters.ts';
import { CONFIG_ROUTES } from './routes/configs.ts';
import { EVENT_ROUTES } from './routes/events.ts';
import { JOB_ROUTES } from './routes/jobs.ts';
import { OTHER_ROUTES } from './routes/others.ts';
import { PEER_ROUTES } from './routes/peers.ts';
import { TOKEN_ROUTES } from './routes/personal-access-tokens.ts';
import { ROLE_ROUTES } from './routes/roles.ts';
import { SCHEDULER_CLUSTER_ROUTES } from './routes/scheduler-clusters.ts';
import { SCHEDULER_ROUTES } from './routes/schedulers.ts';
import { SEED_PEER_CLUSTER_ROUTES } from './routes/seed-peer-clusters.ts';
import { SEED_PEER_ROUTES } from './routes/seed-peers.ts';
import { SWARM_ROUTES } from './routes/swarm.ts';
import { USER_ROUTES } from './routes/users.ts';

/** Everything that the manager answers, by id: registration, checks of rights, documents and names in the audit log come from here. */
export const ROUTES = {
  ...USER_ROUTES,
  ...ROLE_ROUTES,
  ...CLUSTER_ROUTES,
  ...SCHEDULER_CLUSTER_ROUTES,
  ...SCHEDULER_ROUTES,
  ...SEED_PEER_CLUSTER_ROUTES,
  ...SEED_PEER_ROUTES,
  ...PEER_ROUTES,
  ...JOB_ROUTES,
  ...SWARM_ROUTES,
  ...EVENT_ROUTES,
  ...APPLICATION_ROUTES,
  ...TOKEN_ROUTES,
  ...CONFIG_ROUTES,
  ...OTHER_ROUTES,
};

export type RouteId = keyof typeof ROUTES;
type Routes = typeof ROUTES;

type Output<Id extends RouteId, Part extends keyof Route> =
  Routes[Id] extends Readonly<Record<Part, infer Schema extends z.ZodType>> ? z.output<Schema> : undefined;

/** What the parts of a request are once they are checked. */
export interface RequestOf<Id extends RouteId> {
  readonly params: Output<Id, 'params'>;
  readonly query: Output<Id, 'query'>;
  readonly headers: Output<Id, 'headers'>;
  readonly body: Output<Id, 'body'>;
}

/** What a route answers with. */
export type AnswerOf<Id extends RouteId> = Output<Id, 'answer'>;

export const ROUTE_IDS = Object.keys(ROUTES) as readonly RouteId[];

/** Groups of routes to which roles may be given rights, in the order of the table. */
export const OBJECTS: readonly string[] = [
  ...new Set(Object.values<Route>(ROUTES).flatMap(({ access }) => (access.kind === 'right' ? [access.object] : []))),
];

/** What configuration may open, by the name that it has there. */
export const OPENABLE: ReadonlyMap<string, RouteId> = new Map(
  ROUTE_IDS.flatMap((id) => {
    const { opening } = ROUTES[id] as Route;
    return opening === undefined ? [] : [[opening.as, id] as const];
  }),
);
