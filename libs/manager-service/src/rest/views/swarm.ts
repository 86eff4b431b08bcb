import type { swarmListing } from '@d7y/api';
import type { AnswerOf } from '@d7y/manager-api';
import type { TaskHistoryRow } from '@d7y/manager-db';
import { joinTasks, type Told } from '@d7y/peer-protocol';
import { safeUrl } from '@d7y/service-kit';

type Task = AnswerOf<'tasks.list'>[number];
type TaskPeer = AnswerOf<'taskPeers.list'>[number];

/** Schedulers know tasks of this kind only. */
const STANDARD = 'standard';

const numberOf = (value: bigint | undefined): number | null => (value === undefined ? null : Number(value));
const instantOf = (ms: bigint): string => new Date(Number(ms)).toISOString();

/** Tasks as the schedulers of all clusters told them, the latest first. */
export const mergeTasks = (told: readonly Told<swarmListing.ListedTask>[]): Task[] =>
  joinTasks(told).map(({ schedulerClusterId, told: task }) => toTask(schedulerClusterId, task));

const toTask = (schedulerClusterId: number, task: swarmListing.ListedTask): Task => ({
  id: task.id,
  url: task.url,
  state: task.state,
  type: STANDARD,
  contentLength: numberOf(task.contentLength),
  pieceLength: numberOf(task.pieceLength),
  pieceCount: numberOf(task.pieceCount),
  peerCount: Number(task.peers),
  seedPeerCount: Number(task.seedPeers),
  tag: task.tag,
  application: task.application,
  schedulerClusterId,
  isLive: true,
  createdAt: instantOf(task.createdAtMs),
  updatedAt: instantOf(task.updatedAtMs),
});

/** Longest id, and longest text of a label, that are kept. */
const MAX_ID = 256;
const MAX_LABEL = 1024;
const MAX_COUNT = 2 ** 31 - 1;

/** A task as it is written down: none whose id does not fit, and no secret of its URL. */
export function toTaskToRemember(task: Task): Omit<TaskHistoryRow, 'firstSeenAt' | 'lastSeenAt'>[] {
  const text = (value: string, length: number): string => value.replaceAll('\0', '').slice(0, length);
  const bytes = (value: number | null) => (value !== null && Number.isSafeInteger(value) ? value : null);
  const count = (value: number): number => Math.min(value, MAX_COUNT);
  if (task.id.length > MAX_ID) return [];
  return [
    {
      ...{ schedulerClusterId: task.schedulerClusterId, taskId: task.id, url: text(safeUrl(task.url), MAX_LABEL * 4) },
      ...{ type: text(task.type, MAX_ID), state: text(task.state, MAX_ID) },
      ...{ tag: text(task.tag, MAX_LABEL), application: text(task.application, MAX_LABEL) },
      ...{ contentLength: bytes(task.contentLength), pieceLength: bytes(task.pieceLength) },
      pieceCount: task.pieceCount !== null && task.pieceCount <= MAX_COUNT ? task.pieceCount : null,
      ...{ peerCount: count(task.peerCount), seedPeerCount: count(task.seedPeerCount) },
    },
  ];
}

export const toTaskOfHistory = (row: TaskHistoryRow): Task => ({
  id: row.taskId,
  url: row.url,
  state: row.state,
  type: row.type === '' ? STANDARD : row.type,
  contentLength: row.contentLength,
  pieceLength: row.pieceLength,
  pieceCount: row.pieceCount,
  peerCount: row.peerCount,
  seedPeerCount: row.seedPeerCount,
  tag: row.tag,
  application: row.application,
  schedulerClusterId: row.schedulerClusterId,
  isLive: false,
  createdAt: row.firstSeenAt.toISOString(),
  updatedAt: row.lastSeenAt.toISOString(),
});

export const toTaskPeer = ({ schedulerClusterId, told }: Told<swarmListing.ListedPeer>): TaskPeer => ({
  id: told.id,
  taskId: told.taskId,
  hostId: told.hostId,
  hostname: told.hostname,
  ip: told.ip,
  isSeed: told.isSeed,
  state: told.state,
  finishedPieces: Number(told.finishedPieces),
  pieceCount: numberOf(told.pieceCount),
  parents: Number(told.parents),
  children: Number(told.children),
  schedulerClusterId,
  createdAt: instantOf(told.createdAtMs),
  updatedAt: instantOf(told.updatedAtMs),
});

/** The parts of hosts in tasks, the latest first; what two schedulers of a cluster tell of one counts as the later of them says. */
export function mergeTaskPeers(told: readonly Told<swarmListing.ListedPeer>[]): TaskPeer[] {
  const peers = new Map<string, TaskPeer>();
  for (const each of told) {
    const peer = toTaskPeer(each);
    const key = `${peer.schedulerClusterId} ${peer.id}`;
    const other = peers.get(key);
    if (other === undefined || other.updatedAt <= peer.updatedAt) peers.set(key, peer);
  }
  return [...peers.values()].sort(
    (left, right) => right.updatedAt.localeCompare(left.updatedAt) || left.id.localeCompare(right.id),
  );
}

export const toTransfer = ({
  schedulerClusterId,
  told,
}: Told<swarmListing.ListedTransfer>): AnswerOf<'transfers.list'>[number] => ({
  taskId: told.taskId,
  childPeerId: told.childPeerId,
  childHostId: told.childHostId,
  parentPeerId: told.parentPeerId,
  parentHostId: told.parentHostId,
  childPieces: Number(told.childPieces),
  parentPieces: Number(told.parentPieces),
  pieceCount: numberOf(told.pieceCount),
  schedulerClusterId,
});
