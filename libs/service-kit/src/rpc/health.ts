import { Code, ConnectError } from '@connectrpc/connect';
import type { ConnectRouter } from '@connectrpc/connect';
import { health } from '@d7y/api';
import { AsyncQueue } from '../async/async-queue.ts';
import { untilAborted } from '../async/until-aborted.ts';

export type ServingState = 'SERVING' | 'NOT_SERVING';

/** grpc.health.v1 for one listener. The service named "" is the process; it serves from the start. */
export interface Health {
  /** Sets what Check answers for a service, and tells those who watch it. */
  set(service: string, state: ServingState): void;
  /** Adds Check and Watch to a router; `listen` does it. */
  register(router: ConnectRouter): void;
}

type Status = health.HealthCheckResponse_ServingStatus;
const STATUS = health.HealthCheckResponse_ServingStatus;
const MAX_WATCHERS = 1_000;

export function createHealth(): Health {
  const states = new Map<string, Status>([['', STATUS.SERVING]]);
  const watchers = new Set<{ service: string; changed: () => void }>();
  return {
    set(service, state) {
      states.set(service, STATUS[state]);
      for (const watcher of watchers) if (watcher.service === service) watcher.changed();
    },
    register(router) {
      router.service(health.Health, {
        check({ service }) {
          const status = states.get(service);
          if (status === undefined) throw new ConnectError(`unknown service ${service}`, Code.NotFound);
          return { status };
        },
        async *watch({ service }, { signal }) {
          if (watchers.size >= MAX_WATCHERS) throw new ConnectError('too many watchers', Code.ResourceExhausted);
          // One wake-up is enough however many changes it stands for: a slow watcher gets the latest state only.
          const wakeUps = new AsyncQueue<true>(1);
          const watcher = { service, changed: () => void (wakeUps.size === 0 && wakeUps.push(true)) };
          watchers.add(watcher);
          try {
            let last: Status | undefined;
            wakeUps.push(true);
            for await (const _ of untilAborted(wakeUps, signal)) {
              const status = states.get(service) ?? STATUS.SERVICE_UNKNOWN;
              if (status === last) continue;
              last = status;
              yield { status };
            }
          } finally {
            watchers.delete(watcher);
          }
        },
      });
    },
  };
}
