import { create, toBinary } from '@bufbuild/protobuf';
import type { DescMessage } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import type { HostView, ParentRole, PeerView, TaskView } from '@d7y/swarm';
import { numberIn } from '../messages/field-numbers.ts';
import { WireWriter } from '../messages/wire-writer.ts';

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

/** Answers of the other kinds. */
export const encodedResponse = (response: swarm.LinkResponse['response']): Uint8Array =>
  toBinary(swarm.LinkResponseSchema, create(swarm.LinkResponseSchema, { response }));

/** Writes an offer, which nearly every registration gets, parent by parent: parts of different fields may come in any order. */
export class LinkOfferWriter {
  readonly #writer: WireWriter;
  readonly #start: number;

  /** Begins a LinkResponse. */
  constructor(writer: WireWriter, peerNumber: number) {
    this.#writer = writer;
    this.#start = writer.begin(RESPONSE.offer);
    writer.number(OFFER.peerNumber, peerNumber);
  }

  /** A host that the stream has not heard of yet. */
  host(number: number, facts: HostView['facts']): void {
    const writer = this.#writer;
    const start = writer.begin(OFFER.hosts);
    writer.number(HOST.number, number);
    writer.raw(encodedHost(facts));
    writer.end(start);
  }

  /** A parent that the peer has not heard of yet. */
  introduced(number: number, hostNumber: number, parent: PeerView): void {
    const writer = this.#writer;
    const start = writer.begin(OFFER.introduced);
    writer.number(INTRODUCED.number, number);
    writer.text(INTRODUCED.peerId, parent.id);
    writer.number(INTRODUCED.hostNumber, hostNumber);
    writer.flag(INTRODUCED.isComplete, parent.state === 'Succeeded');
    writer.flag(INTRODUCED.isPrivate, parent.priority === 3);
    writer.end(start);
  }

  /** The next best parent. */
  parent(number: number, role: ParentRole): void {
    const writer = this.#writer;
    const start = writer.begin(OFFER.parents);
    writer.number(PARENT.number, number);
    writer.number(PARENT.role, ROLES[role]);
    writer.end(start);
  }

  end(size: TaskView['size'] | undefined): void {
    const writer = this.#writer;
    writer.number(OFFER.contentLength, size?.contentLength ?? 0);
    writer.number(OFFER.pieceLength, size?.pieceLength ?? 0);
    writer.end(this.#start);
  }
}

/** As a LinkResponse. */
export function writeNoted(writer: WireWriter, peerNumber: number, as: swarm.NotedAs): void {
  const noted = writer.begin(RESPONSE.noted);
  writer.number(NOTED.peerNumber, peerNumber);
  writer.number(NOTED.as, as);
  writer.end(noted);
}

/** All of a host but its number, which is another on every stream. By what it announced: the next announcement is another object. */
const encodedFacts = new WeakMap<HostView['facts'], Uint8Array>();
const factsWriter = new WireWriter();

function encodedHost(facts: HostView['facts']): Uint8Array {
  let encoded = encodedFacts.get(facts);
  if (encoded === undefined) {
    factsWriter.text(HOST.id, facts.id);
    factsWriter.text(HOST.ip, facts.ip);
    factsWriter.number(HOST.port, facts.port);
    factsWriter.flag(HOST.isSeed, facts.kind === 'seed');
    factsWriter.text(HOST.idc, facts.idc ?? '');
    factsWriter.text(HOST.location, facts.location ?? '');
    encodedFacts.set(facts, (encoded = factsWriter.finish()));
  }
  return encoded;
}
