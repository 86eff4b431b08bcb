import type { ServiceImpl } from '@connectrpc/connect';
import { swarm } from '@d7y/api';
import type { MessageCall, MessageHandler } from '@d7y/service-kit';
import { messageStream } from '@d7y/service-kit';
import type { Access } from '../access/access.ts';
import type { Admission } from './admission.ts';
import { ConversationError } from '../errors.ts';
import type { Link, LinkHub } from '../link/link-hub.ts';
import { readLinkRequest } from '../link/link-reader.ts';
import { isOfPeer } from '../link/peer-desk.ts';
import { WaitingRequests } from '../link/waiting-requests.ts';

interface LinkContext {
  readonly hub: LinkHub;
  readonly linkMetrics: { request(kind: string): void };
  readonly access: Access;
  readonly admission: Admission;
}

/** The stream of a daemon of ours: it introduces itself first, then says and asks things in any order. */
export const link = (parts: LinkContext): Pick<ServiceImpl<typeof swarm.SwarmService>, 'link'> => ({
  link: messageStream(swarm.SwarmService.method.link, (call) => new LinkRequests(parts, call), readLinkRequest),
});

class LinkRequests implements MessageHandler<swarm.LinkRequest> {
  readonly #parts: LinkContext;
  readonly #call: MessageCall;
  #link: Link | undefined;
  #waiting: WaitingRequests | undefined;

  constructor(parts: LinkContext, call: MessageCall) {
    this.#parts = parts;
    this.#call = call;
  }

  message({ request }: swarm.LinkRequest): Promise<void> | undefined {
    const { hub, access, admission, linkMetrics } = this.#parts;
    const link = this.#link;
    if (link === undefined) {
      if (request.case !== 'open') throw new ConversationError('a link begins with open');
      access.checkHost(this.#call, request.value.hostId);
      const opened = (this.#link = hub.open(request.value, this.#call));
      this.#waiting = new WaitingRequests(
        (waited) => hub.handle(opened, waited),
        (error) => opened.outbox.end(error as Error),
      );
      return undefined;
    }
    // A kind that a newer daemon knows is none of ours: it is passed over.
    if (request.case === undefined) return undefined;
    if (request.case === 'open') throw new ConversationError('a link is opened once');
    linkMetrics.request(request.case);
    // A crowd is slowed down, nobody is turned away; only the registrations wait.
    const waiting = this.#waiting;
    if (isOfPeer(request) && waiting !== undefined) {
      const asks = request.case === 'register' && !waiting.sharesTurn;
      return waiting.take(request, asks ? admission.turn(this.#call, waiting.inTurn) : undefined);
    }
    hub.handle(link, request);
    return undefined;
  }

  ended(): void {
    if (this.#link === undefined) this.#call.end();
    else this.#link.outbox.end();
  }

  drained(): void {
    this.#link?.outbox.drained();
  }

  closed(): void {
    if (this.#link !== undefined) this.#parts.hub.close(this.#link);
  }
}
