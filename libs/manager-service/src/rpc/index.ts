import type { ConnectRouter } from '@connectrpc/connect';
import { manager } from '@d7y/api';
import { applicationCalls } from './applications.ts';
import type { ApplicationBook } from './books.ts';
import type { KeepAlives } from './keep-alive.ts';
import { schedulerCalls, type SchedulersContext } from './schedulers.ts';
import { seedPeerCalls, type SeedPeersContext } from './seed-peers.ts';

/** Nothing that is sent to a manager is longer. */
const MAX_MESSAGE_BYTES = 256 * 1024;

export type ManagerCallsContext = SchedulersContext &
  SeedPeersContext & { readonly applications: ApplicationBook; readonly keepAlives: KeepAlives };

/** Everything that the manager answers over gRPC. */
export function registerManager(router: ConnectRouter, context: ManagerCallsContext): void {
  const calls = {
    ...schedulerCalls(context),
    ...seedPeerCalls(context),
    ...applicationCalls(context),
    keepAlive: context.keepAlives.keepAlive,
  };
  router.service(manager.Manager, calls, { readMaxBytes: MAX_MESSAGE_BYTES });
}
