import type { ServiceImpl } from '@connectrpc/connect';
import type { swarm } from '@d7y/api';
import { untilAborted } from '@d7y/service-kit';
import type { Access } from '../access/access.ts';
import type { Admission } from './admission.ts';
import { ConversationError } from '../errors.ts';
import type { Link, LinkHub } from '../link/link-hub.ts';
import { isOfPeer } from '../link/peer-desk.ts';
import { WaitingRequests } from '../link/waiting-requests.ts';

/** The stream of a daemon of ours: it introduces itself first, then says and asks things in any order. */
export const link = ({
  hub,
  linkMetrics,
  access,
  admission,
}: {
  hub: LinkHub;
  linkMetrics: { request(kind: string): void };
  access: Access;
  admission: Admission;
}) =>
  ({
    async *link(requests, call) {
      const { signal } = call;
      const incoming = untilAborted(requests, signal);
      const { value: first, done = false } = await incoming.next();
      if (done) return;
      if (first?.request.case !== 'open') throw new ConversationError('a link begins with open');
      access.checkHost(call, first.request.value.hostId);
      const opened = hub.open(first.request.value);
      const reading = read(hub, opened, incoming, { linkMetrics, turn: () => admission.turn(call) });
      try {
        yield* untilAborted(opened.outbox, signal);
        // Cut off is not ended: a daemon that is told so comes back.
        signal.throwIfAborted();
      } finally {
        hub.close(opened);
        // The reader ends with the signal; whatever it still throws has its answer already.
        reading.catch(() => undefined);
      }
    },
  }) satisfies Partial<ServiceImpl<typeof swarm.SwarmService>>;

async function read(
  hub: LinkHub,
  opened: Link,
  requests: AsyncIterable<swarm.LinkRequest>,
  { linkMetrics, turn }: { linkMetrics: { request(kind: string): void }; turn: () => Promise<void> | undefined },
): Promise<void> {
  const waiting = new WaitingRequests(
    (request) => hub.handle(opened, request),
    (error) => opened.outbox.end(error as Error),
  );
  try {
    for await (const { request } of requests) {
      // A kind that a newer daemon knows is none of ours: it is passed over.
      if (request.case === undefined) continue;
      if (request.case === 'open') throw new ConversationError('a link is opened once');
      linkMetrics.request(request.case);
      // A crowd is slowed down, nobody is turned away; only the registrations wait.
      if (isOfPeer(request)) await waiting.take(request, request.case === 'register' ? turn() : undefined);
      else hub.handle(opened, request);
    }
    opened.outbox.end();
  } catch (error) {
    opened.outbox.end(error as Error);
  }
}
