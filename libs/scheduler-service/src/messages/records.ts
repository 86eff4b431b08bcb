import type { common } from '@d7y/api';
import type { HostView, PeerView, TaskView } from '@d7y/swarm';

/** What a host said in its last announcement, beyond what the swarm needs. */
export interface HostRecord {
  readonly message: common.Host;
}

/** What describes a task to others. Carries no headers and no secrets. */
export interface TaskRecord {
  readonly url: string;
  readonly digest: string | undefined;
  readonly tag: string | undefined;
  readonly application: string | undefined;
  readonly filteredQueryParams: readonly string[];
}

/** How a peer registered, where that is not what all do. */
export interface PeerRecord {
  readonly concurrentPieceCount: number;
}

/** Makes what a seed is asked on behalf of a peer. Without credentials. */
export type SeedDownloadOf = (peer: Pick<PeerView, 'range'>) => common.Download;

/**
 * Messages behind the swarm's hosts, tasks and peers. They live exactly as long as those: what the swarm forgets, this
 * forgets.
 */
export class Records {
  readonly #hosts = new WeakMap<HostView, HostRecord>();
  readonly #tasks = new WeakMap<TaskView, TaskRecord>();
  readonly #peers = new WeakMap<PeerView, PeerRecord>();
  /** As the newest registration of each task has it: addresses and their signatures grow old. */
  readonly #seedDownloads = new WeakMap<TaskView, SeedDownloadOf>();

  host(host: HostView): HostRecord | undefined {
    return this.#hosts.get(host);
  }

  task(task: TaskView): TaskRecord | undefined {
    return this.#tasks.get(task);
  }

  peer(peer: PeerView): PeerRecord | undefined {
    return this.#peers.get(peer);
  }

  /** What a seed would be asked on behalf of this peer. */
  seedDownload(peer: PeerView): common.Download | undefined {
    return this.#seedDownloads.get(peer.task)?.(peer);
  }

  keepHost(host: HostView, record: HostRecord): void {
    this.#hosts.set(host, record);
  }

  keepTask(task: TaskView, record: TaskRecord): void {
    this.#tasks.set(task, record);
  }

  keepSeedDownload(task: TaskView, makes: SeedDownloadOf): void {
    this.#seedDownloads.set(task, makes);
  }

  keepPeer(peer: PeerView, record: PeerRecord): void {
    this.#peers.set(peer, record);
  }
}
