import { create, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { common, scheduler, swarm } from '@d7y/api';

const PIECE_LENGTH = 4 * 2 ** 20;
const PIECES = 16;
const MIB = 2n ** 20n;

/** Names of what a load is made of, by number. */
export const taskIdOf = (index: number): string => index.toString(16).padStart(64, 'a');
export const hostIdOf = (index: number): string =>
  `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}-node-${index}`;
export const peerIdOf = (hostId: string, number: number): string =>
  `${hostId}-00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

/** An announcement as full as that of a stock daemon. */
export function hostAnnouncement(index: number): Uint8Array {
  const id = hostIdOf(index);
  const ip = id.slice(0, id.indexOf('-'));
  const host = {
    ...{ id, hostname: id.slice(ip.length + 1), ip, port: 4000, downloadPort: 4000, proxyPort: 4001 },
    ...{ os: 'linux', platform: 'debian', platformFamily: 'debian', platformVersion: '13', kernelVersion: '6.12.41' },
    cpu: { logicalCount: 32, physicalCount: 16, percent: 12.5, processPercent: 1.5 },
    memory: {
      total: 65_536n * MIB,
      available: 40_000n * MIB,
      used: 25_536n * MIB,
      usedPercent: 39,
      free: 9_000n * MIB,
    },
    network: {
      ...{ location: `region|room-${index % 4}|rack-${index % 40}`, idc: `idc-${index % 4}` },
      ...{ maxRxBandwidth: 10n ** 10n, maxTxBandwidth: 10n ** 10n, rxBandwidth: 1_000_000n, txBandwidth: 1_000_000n },
    },
    disk: { total: 500_000n * MIB, free: 300_000n * MIB, used: 200_000n * MIB, usedPercent: 40 },
    build: { gitVersion: '2.5.1', gitCommit: 'abcdef0', rustVersion: '1.95.0', platform: 'x86_64' },
    ...{ schedulerClusterId: 1n, name: `dragonfly-system/dragonfly-client-${index}` },
  } satisfies MessageInitShape<typeof common.HostSchema>;
  const interval = durationFromMs(300_000);
  return toBinary(scheduler.AnnounceHostRequestSchema, create(scheduler.AnnounceHostRequestSchema, { host, interval }));
}

type Said = NonNullable<MessageInitShape<typeof scheduler.AnnouncePeerRequestSchema>['request']>;

const encoded = (request: Said): Buffer =>
  Buffer.from(toBinary(scheduler.AnnouncePeerRequestSchema, create(scheduler.AnnouncePeerRequestSchema, { request })));

const REGISTRATIONS = new Map<string, Buffer>();

/** The part of a registration that is the same for all peers of a task: the messages of a wire format may be joined end to end. */
function registrationOf(taskId: string, needBackToSource: boolean): Buffer {
  const key = `${taskId}${needBackToSource}`;
  let bytes = REGISTRATIONS.get(key);
  if (bytes === undefined) {
    const download = {
      url: `https://registry.example/v2/library/bench/blobs/sha256:${taskId}`,
      digest: `sha256:${taskId}`,
      type: common.TaskType.STANDARD,
      priority: common.Priority.LEVEL6,
      filteredQueryParams: ['Algorithm', 'Credential', 'Date', 'Expires', 'SignedHeaders', 'Signature'],
      requestHeader: { accept: '*/*', authorization: 'Bearer none', 'user-agent': 'containerd/2.1' },
      timeout: durationFromMs(3_600_000),
      needBackToSource,
      concurrentPieceCount: 8,
      actualPieceLength: BigInt(PIECE_LENGTH),
      actualContentLength: BigInt(PIECES * PIECE_LENGTH),
      actualPieceCount: BigInt(PIECES),
      enableTaskIdBasedBlobDigest: true,
    } satisfies MessageInitShape<typeof common.DownloadSchema>;
    bytes = encoded({ case: 'registerPeerRequest', value: { download } });
    REGISTRATIONS.set(key, bytes);
  }
  return bytes;
}

/** What one peer says on its AnnouncePeer stream. */
export function peerMessages(hostId: string, taskId: string, peerId: string, needBackToSource: boolean) {
  const ids = toBinary(
    scheduler.AnnouncePeerRequestSchema,
    create(scheduler.AnnouncePeerRequestSchema, { hostId, taskId, peerId }),
  );
  return {
    register: Buffer.concat([ids, registrationOf(taskId, needBackToSource)]),
    say: (part: keyof typeof PARTS): Buffer => Buffer.concat([ids, PARTS[part]]),
  };
}

const PARTS = {
  started: encoded({ case: 'downloadPeerStartedRequest', value: {} }),
  atOrigin: encoded({ case: 'downloadPeerBackToSourceStartedRequest', value: {} }),
  finished: encoded({ case: 'downloadPeerFinishedRequest', value: {} }),
  finishedAtOrigin: encoded({ case: 'downloadPeerBackToSourceFinishedRequest', value: {} }),
};

/** What an answer of AnnouncePeer says, by the number of its only field. */
export function answerKind(bytes: Uint8Array): 'parents' | 'origin' | 'other' {
  const field = (bytes[0] ?? 0) >> 3;
  return field === 2 ? 'parents' : field === 3 ? 'origin' : 'other';
}

type LinkSaid = NonNullable<MessageInitShape<typeof swarm.LinkRequestSchema>['request']>;

/** A message of the own stream. */
export const linkMessage = (request: LinkSaid): Uint8Array =>
  toBinary(swarm.LinkRequestSchema, create(swarm.LinkRequestSchema, { request }));

const SAID = swarm.LinkRequestSchema.field;
const ANSWERED = swarm.LinkResponseSchema.field;
const LINK_REGISTRATIONS = new Map<string, Uint8Array>();

/**
 * A registration on the own stream, as a daemon of ours makes it. What is the same for all peers of a task is encoded once: ten thousand
 * daemons in one process must leave the machine to the scheduler.
 */
export function linkRegistration(
  peerNumber: number,
  taskId: string,
  peerId: string,
  needBackToSource: boolean,
): Uint8Array {
  const key = `${taskId}${needBackToSource}`;
  let common = LINK_REGISTRATIONS.get(key);
  if (common === undefined) {
    const message = create(swarm.RegisterSchema, {
      ...{ taskId, priority: 6, needBackToSource },
      source: {
        url: `https://registry.example/v2/library/bench/blobs/sha256:${taskId}`,
        digest: `sha256:${taskId}`,
        enableTaskIdBasedBlobDigest: true,
      },
      contentLength: BigInt(PIECES * PIECE_LENGTH),
      pieceLength: BigInt(PIECE_LENGTH),
    });
    LINK_REGISTRATIONS.set(key, (common = toBinary(swarm.RegisterSchema, message)));
  }
  const { peerNumber: number, peerId: id } = swarm.RegisterSchema.field;
  return within(SAID.register.number, (writer) => {
    writer.tag(number.number, WireType.Varint).uint32(peerNumber);
    writer.tag(id.number, WireType.LengthDelimited).string(peerId);
    writer.raw(common);
  });
}

/** That a peer has begun, or has everything. */
export function linkReport(kind: 'started' | 'finished', peerNumber: number, fromOrigin: boolean): Uint8Array {
  const fields = { started: swarm.StartedSchema.field, finished: swarm.FinishedSchema.field }[kind];
  return within(SAID[kind].number, (writer) => {
    writer.tag(fields.peerNumber.number, WireType.Varint).uint32(peerNumber);
    if (fromOrigin) writer.tag(fields.fromOrigin.number, WireType.Varint).bool(true);
  });
}

function within(field: number, write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  return writer.join().finish();
}

const KINDS = new Map<number, 'parents' | 'origin' | 'none'>([
  [ANSWERED.offer.number, 'parents'],
  [ANSWERED.originGrant.number, 'origin'],
  [ANSWERED.noted.number, 'none'],
  [ANSWERED.refusal.number, 'none'],
]);

/** What is said on the own stream, and to which peer: the first field of every answer to one. @returns undefined for everything else */
export function readLinkAnswer(
  bytes: Uint8Array,
): { kind: 'parents' | 'origin' | 'none'; peerNumber: number } | undefined {
  const reader = new BinaryReader(bytes);
  const [field] = reader.tag();
  const kind = KINDS.get(field);
  if (kind === undefined) return undefined;
  reader.uint32(); // how long it is
  reader.tag();
  return { kind, peerNumber: reader.uint32() };
}
