import type { RegistrationFacts } from './facts.ts';
import { Host } from './host.ts';
import type { HostFacts, HostView } from './host.ts';
import type { PeerView, Priority } from './peer.ts';
import type { Roster } from './roster.ts';
import type { TaskSize } from './task.ts';

/** Is told what a swarm knows that is worth knowing after a restart. Called in the middle of a change: it takes note, and asks nothing. */
export interface SwarmWatcher {
  /** The peer has the whole task. */
  holderCame(peer: PeerView): void;
  /** A peer of which `holderCame` told is forgotten. */
  holderLeft(peer: PeerView): void;
  /** The host is forgotten, with all its peers. */
  hostLeft(host: HostView): void;
}

/** A task as it was before a restart. */
export interface RememberedTask {
  readonly id: string;
  readonly size: TaskSize;
  readonly isPrivate: boolean;
}

/** A peer that had the whole task. */
export interface RememberedHolder {
  readonly hostId: string;
  readonly taskId: string;
  readonly peerId: string;
  readonly priority: Priority;
  readonly concurrentPieceCount: number;
}

/** What was known before a restart. */
export interface SwarmMemory {
  readonly hosts: Iterable<HostFacts>;
  readonly tasks: Iterable<RememberedTask>;
  readonly holders: Iterable<RememberedHolder>;
}

/** Hosts of a task that are asked for their health at a time, to find one that is still there. */
const PROBED_AT_ONCE = 8;

/**
 * Puts what was known before a restart into a swarm that has just begun. Nobody is offered a remembered peer until its host is heard of:
 * seeds are looked at by themselves, daemons of ours come back by themselves, and of the others some are asked when somebody wants what
 * they had. What contradicts itself, and what the limits leave no room for, is left out.
 */
export function restore(roster: Roster, memory: SwarmMemory, nowMs: number): void {
  for (const facts of memory.hosts) {
    if (roster.hosts.has(facts.id) || roster.hosts.size >= roster.options.maxHosts) continue;
    const host = new Host(facts, false, nowMs);
    host.isRemembered = true;
    if (!host.isSeed) host.state = { kind: 'suspect', sinceMs: nowMs };
    roster.hosts.set(host.id, host);
    if (!host.isSeed) continue;
    roster.seeds.add(host);
    roster.decisions.push({ kind: 'probeHost', hostId: host.id });
  }
  const tasks = new Map<string, RememberedTask>();
  for (const task of memory.tasks) tasks.set(task.id, task);
  for (const holder of memory.holders) {
    const host = roster.hosts.get(holder.hostId);
    const remembered = tasks.get(holder.taskId);
    if (host === undefined || remembered === undefined || roster.peers.has(holder.peerId)) continue;
    const isFirst = !roster.tasks.has(holder.taskId);
    const peer = roster.createPeer(factsOf(holder, remembered.size), host, nowMs);
    if (peer === undefined) return;
    const { task } = peer;
    if (isFirst) {
      task.learnSize(remembered.size);
      task.isPrivate = remembered.isPrivate;
      task.apply('download', nowMs);
      task.apply('downloadSucceeded', nowMs);
    }
    peer.recall();
    // Nobody gets anything from a host that is not heard of: there is nothing to put in order yet.
    if (host.isFit) roster.reindex(peer);
  }
}

const factsOf = (holder: RememberedHolder, size: TaskSize): RegistrationFacts => ({
  hostId: holder.hostId,
  taskId: holder.taskId,
  peerId: holder.peerId,
  priority: holder.priority,
  concurrentPieceCount: holder.concurrentPieceCount,
  range: undefined,
  needBackToSource: false,
  metadataOnly: false,
  contentLength: size.contentLength,
  pieceLength: size.pieceLength,
  pieceCount: size.pieceCount,
});

/**
 * Asks hosts that are remembered to hold the task whether they are there.
 * @returns whether an answer is still to come; the task is woken by it
 */
export function askRemembered(roster: Roster, peers: Iterable<PeerView>, asker: Host): boolean {
  let asked = 0;
  for (const {
    host: { id },
    state,
  } of peers) {
    const host = roster.hosts.get(id);
    if (state !== 'Succeeded' || host === undefined || host === asker) continue;
    if (!host.isRemembered || host.state.kind === 'lost') continue;
    asked++;
    if (!host.isAsked) {
      host.isAsked = true;
      roster.decisions.push({ kind: 'probeHost', hostId: id });
    }
    if (asked >= PROBED_AT_ONCE) break;
  }
  return asked > 0;
}
