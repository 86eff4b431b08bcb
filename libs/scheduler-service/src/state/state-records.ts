import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { common } from '@d7y/api';
import { scheduler } from '@d7y/api';
import type { HostFacts, RememberedHolder, RememberedTask } from '@d7y/swarm';
import { z } from 'zod';
import { toHostFacts } from '../messages/host-facts.ts';
import { DEFAULT_CONCURRENT_PIECES } from '../messages/message-writer.ts';
import type { TaskRecord } from '../messages/records.ts';
import { toPriority } from '../messages/registration-facts.ts';

/** A task, and what describes it to others. */
export interface KeptTask extends RememberedTask {
  readonly record: Omit<TaskRecord, 'seedDownload'>;
}

/** The first byte of a record says what it is; behind it stands an AnnounceHostRequest, or JSON. */
const KIND = { host: 1, hostLeft: 2, task: 3, holder: 4, holderLeft: 5 } as const;

export function hostRecord(message: common.Host, announceIntervalMs: number | undefined): Uint8Array {
  const announcement = create(scheduler.AnnounceHostRequestSchema, {
    host: message,
    ...(announceIntervalMs !== undefined && { interval: durationFromMs(announceIntervalMs) }),
  });
  return Buffer.concat([Buffer.from([KIND.host]), toBinary(scheduler.AnnounceHostRequestSchema, announcement)]);
}

const HOLDER_KIND = String.fromCharCode(KIND.holder);

const json = (kind: number, content: unknown): string => `${String.fromCharCode(kind)}${JSON.stringify(content)}`;

export const hostLeftRecord = (hostId: string): string => json(KIND.hostLeft, hostId);
export const taskRecord = (task: KeptTask): string => json(KIND.task, task);
/** As JSON writes it, by hand: there is one for every download that ends well. */
export function holderRecord({ peerId, hostId, taskId, priority, concurrentPieceCount }: RememberedHolder): string {
  const ids = `${JSON.stringify(peerId)},${JSON.stringify(hostId)},${JSON.stringify(taskId)}`;
  return `${HOLDER_KIND}[${ids},${priority},${concurrentPieceCount}]`;
}
export const holderLeftRecord = (peerId: string): string => json(KIND.holderLeft, peerId);

const count = z.int().nonnegative().optional();
const kept = z.object({
  id: z.string().min(1),
  size: z.object({ contentLength: count, pieceLength: count, pieceCount: count }),
  isPrivate: z.boolean(),
  record: z.object({
    url: z.string(),
    digest: z.string().optional(),
    tag: z.string().optional(),
    application: z.string().optional(),
    filteredQueryParams: z.array(z.string()),
  }),
});

/** What all records together say. */
export interface KeptState {
  readonly hosts: Map<string, { readonly facts: HostFacts; readonly message: common.Host }>;
  readonly tasks: Map<string, KeptTask>;
  readonly holders: Map<string, RememberedHolder>;
  /** Records that could not be read. */
  readonly unreadable: number;
}

type KeptHolder = RememberedHolder & {
  /** The place of its record among all of them. */
  readonly at: number;
};

/** Goes through the records in the order in which they were written; of those about the same thing the last one counts. */
export function replay(records: Iterable<Buffer>): KeptState {
  const holders = new Map<string, KeptHolder>();
  const state = { hosts: new Map(), tasks: new Map(), holders, unreadable: 0 };
  /** By host id: the place of the record by which it left, and all of its peers so far with it. */
  const leftAt = new Map<string, number>();
  let at = 0;
  for (const record of records) {
    try {
      apply(state, leftAt, record, at++);
    } catch {
      state.unreadable++;
    }
  }
  if (leftAt.size > 0)
    for (const { peerId, hostId, at: toldAt } of holders.values())
      if (toldAt < (leftAt.get(hostId) ?? -1)) holders.delete(peerId);
  return state;
}

function apply(
  state: KeptState & { readonly holders: Map<string, KeptHolder> },
  leftAt: Map<string, number>,
  record: Buffer,
  at: number,
): void {
  switch (record[0]) {
    case KIND.host: {
      const announced = toHostFacts(fromBinary(scheduler.AnnounceHostRequestSchema, record.subarray(1)));
      state.hosts.set(announced.facts.id, announced);
      return;
    }
    case KIND.hostLeft: {
      const hostId = z.string().parse(contentOf(record));
      state.hosts.delete(hostId);
      leftAt.set(hostId, at);
      return;
    }
    case KIND.task: {
      const { id, size, isPrivate, record: described } = kept.parse(contentOf(record));
      const { contentLength, pieceLength, pieceCount } = size;
      const { url, digest, tag, application, filteredQueryParams } = described;
      state.tasks.set(id, {
        ...{ id, isPrivate, size: { contentLength, pieceLength, pieceCount } },
        record: { url, digest, tag, application, filteredQueryParams },
      });
      return;
    }
    case KIND.holder: {
      const holder = toHolder(state, contentOf(record), at);
      state.holders.set(holder.peerId, holder);
      return;
    }
    case KIND.holderLeft:
      state.holders.delete(z.string().parse(contentOf(record)));
      return;
    default:
      throw new RangeError('a record of no known kind');
  }
}

const contentOf = (record: Buffer): unknown => JSON.parse(record.toString('utf8', 1));

/**
 * By hand, not by a schema: there may be hundreds of thousands. They share the ids of hosts and tasks, which are looked up all over again later.
 */
function toHolder({ hosts, tasks }: Pick<KeptState, 'hosts' | 'tasks'>, fields: unknown, at: number): KeptHolder {
  const [peerId, hostId, taskId, priority, concurrentPieceCount] = fields as unknown[];
  if (typeof peerId !== 'string' || typeof hostId !== 'string' || typeof taskId !== 'string')
    throw new TypeError('a holder without a name');
  return {
    peerId,
    hostId: hosts.get(hostId)?.facts.id ?? hostId,
    taskId: tasks.get(taskId)?.id ?? taskId,
    priority: toPriority(Number(priority)),
    concurrentPieceCount: Number(concurrentPieceCount) || DEFAULT_CONCURRENT_PIECES,
    at,
  };
}
