import { z } from 'zod';
import { line, paging, textId, timestamp } from './fields.ts';

/** Content that schedulers distribute or have distributed. */
export const task = z
  .object({
    id: z.string(),
    url: z.string(),
    state: z.string(),
    type: z.string(),
    /** Bytes; null while nobody has said. */
    contentLength: z.int().nullable(),
    pieceLength: z.int().nullable(),
    pieceCount: z.int().nullable(),
    peerCount: z.int(),
    seedPeerCount: z.int(),
    tag: z.string(),
    application: z.string(),
    schedulerClusterId: z.int(),
    /** False: the schedulers have forgotten it. */
    isLive: z.boolean(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .meta({ id: 'Task' });

export const taskQuery = z.strictObject({
  state: line(64).optional(),
  scheduler_cluster_id: textId.optional(),
  /** Exactly, without query. */
  url: line(4_096).optional(),
  /** Beginning of the id. */
  id: line(256).optional(),
  ...paging,
});

/** A host's part in a task. */
export const taskPeer = z
  .object({
    id: z.string(),
    taskId: z.string(),
    hostId: z.string(),
    hostname: z.string(),
    ip: z.string(),
    isSeed: z.boolean(),
    state: z.string(),
    finishedPieces: z.int(),
    pieceCount: z.int().nullable(),
    parents: z.int(),
    children: z.int(),
    schedulerClusterId: z.int(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .meta({ id: 'TaskPeer' });

export const taskPeerQuery = z.strictObject({
  scheduler_cluster_id: textId.optional(),
  task_id: line(256).optional(),
  host_id: line(512).optional(),
  state: line(64).optional(),
  ...paging,
});

/** A child that was told to fetch from a parent. */
export const transfer = z
  .object({
    taskId: z.string(),
    childPeerId: z.string(),
    childHostId: z.string(),
    parentPeerId: z.string(),
    parentHostId: z.string(),
    childPieces: z.int(),
    parentPieces: z.int(),
    pieceCount: z.int().nullable(),
    schedulerClusterId: z.int(),
  })
  .meta({ id: 'Transfer' });

export const transferQuery = z.strictObject({
  scheduler_cluster_id: textId.optional(),
  task_id: line(256).optional(),
  host_id: line(512).optional(),
  ...paging,
});
