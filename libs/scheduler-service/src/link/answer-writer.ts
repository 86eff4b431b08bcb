import type { DescMessage } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { HostView, ParentRole, PeerView, TaskView } from '@d7y/swarm';
import { numberIn } from '../messages/field-numbers.ts';
import { WireWriter } from '../messages/wire-writer.ts';

/** A host that the stream has not heard of yet. */
export interface NewHost {
  readonly number: number;
  readonly facts: HostView['facts'];
}

/** A parent that the peer has not heard of yet. */
export interface IntroducedParent {
  readonly number: number;
  readonly hostNumber: number;
  readonly parent: PeerView;
}

export interface OfferedParent {
  readonly number: number;
  readonly role: ParentRole;
}

const ROLES: Readonly<Record<ParentRole, swarm.ParentRole>> = {
  neighbour: swarm.ParentRole.NEIGHBOUR,
  fallback: swarm.ParentRole.FALLBACK,
};

const fieldsOf = <Name extends string>(schema: DescMessage, names: Readonly<Record<Name, string>>) =>
  Object.fromEntries(Object.entries<string>(names).map(([key, name]) => [key, numberIn(schema, name)])) as Readonly<
    Record<Name, number>
  >;

const RESPONSE = fieldsOf(swarm.LinkResponseSchema, { offer: 'offer', noted: 'noted' });
const NOTED = fieldsOf(swarm.NotedSchema, { peerNumber: 'peer_number', as: 'as' });
const OFFER = fieldsOf(swarm.OfferSchema, {
  peerNumber: 'peer_number',
  hosts: 'hosts',
  introduced: 'introduced',
  parents: 'parents',
  contentLength: 'content_length',
  pieceLength: 'piece_length',
});
const HOST = fieldsOf(swarm.OfferedHostSchema, {
  ...{ number: 'number', id: 'id', ip: 'ip', port: 'port' },
  ...{ isSeed: 'is_seed', idc: 'idc', location: 'location' },
});
const INTRODUCED = fieldsOf(swarm.OfferedParentSchema, {
  ...{ number: 'number', peerId: 'peer_id', hostNumber: 'host_number' },
  ...{ isComplete: 'is_complete', isPrivate: 'is_private' },
});
const PARENT = fieldsOf(swarm.ParentInOfferSchema, { number: 'number', role: 'role' });

/** Of all streams: a message is finished before another one begins. */
const writer = new WireWriter();

/** The answer that nearly every registration gets. @returns an encoded LinkResponse */
export function writeOffer(
  peerNumber: number,
  hosts: readonly NewHost[],
  introduced: readonly IntroducedParent[],
  parents: readonly OfferedParent[],
  size: TaskView['size'] | undefined,
): Uint8Array {
  writer.message(RESPONSE.offer, () => {
    writer.number(OFFER.peerNumber, peerNumber);
    for (const host of hosts) writer.message(OFFER.hosts, () => writeHost(host));
    for (const parent of introduced) writer.message(OFFER.introduced, () => writeIntroduced(parent));
    for (const { number, role } of parents)
      writer.message(OFFER.parents, () => {
        writer.number(PARENT.number, number);
        writer.number(PARENT.role, ROLES[role]);
      });
    writer.number(OFFER.contentLength, size?.contentLength ?? 0);
    writer.number(OFFER.pieceLength, size?.pieceLength ?? 0);
  });
  return writer.finish();
}

/** @returns an encoded LinkResponse */
export function writeNoted(peerNumber: number, as: swarm.NotedAs): Uint8Array {
  writer.message(RESPONSE.noted, () => {
    writer.number(NOTED.peerNumber, peerNumber);
    writer.number(NOTED.as, as);
  });
  return writer.finish();
}

function writeHost({ number, facts }: NewHost): void {
  writer.number(HOST.number, number);
  writer.text(HOST.id, facts.id);
  writer.text(HOST.ip, facts.ip);
  writer.number(HOST.port, facts.port);
  writer.flag(HOST.isSeed, facts.kind === 'seed');
  writer.text(HOST.idc, facts.idc ?? '');
  writer.text(HOST.location, facts.location ?? '');
}

function writeIntroduced({ number, hostNumber, parent }: IntroducedParent): void {
  writer.number(INTRODUCED.number, number);
  writer.text(INTRODUCED.peerId, parent.id);
  writer.number(INTRODUCED.hostNumber, hostNumber);
  writer.flag(INTRODUCED.isComplete, parent.state === 'Succeeded');
  writer.flag(INTRODUCED.isPrivate, parent.priority === 3);
}
