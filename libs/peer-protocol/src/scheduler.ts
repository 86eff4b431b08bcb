import type { common, swarm } from '@d7y/api';
import type { Announcement, PeerRegistration } from './announcement.ts';
import type { HelloAnswer } from './parent.ts';

/** One scheduler, seen from a daemon. Connections come and go by themselves; unary calls have a deadline of their own. */
export interface SchedulerClient extends AsyncDisposable {
  /** `host:port`. */
  readonly address: string;
  /** Opens an AnnouncePeer conversation. Never throws: trouble shows in `instructions`. Aborting the signal breaks it off. */
  announcePeer(registration: PeerRegistration, options: { signal: AbortSignal }): Announcement;
  /** @param intervalMs when the next announcement will come; after twice that the scheduler forgets us. @throws {RpcError} */
  announceHost(host: common.Host, intervalMs: number, options: { signal: AbortSignal }): Promise<void>;
  /** Takes this host, with its peers, out of the scheduler. @throws {RpcError} */
  deleteHost(options: { signal: AbortSignal }): Promise<void>;
  /** @param type undefined for all, 0 for normal hosts, 1 for seeds. @throws {RpcError} */
  listHosts(type: number | undefined, options: { signal: AbortSignal }): Promise<readonly common.Host[]>;
  /** @returns undefined when the scheduler does not know the task. @throws {RpcError} */
  statTask(taskId: string, options: { signal: AbortSignal }): Promise<common.Task | undefined>;
  /** Tells the scheduler that this host no longer has the task. @throws {RpcError} */
  deleteTask(taskId: string, options: { signal: AbortSignal }): Promise<void>;
  /** @returns whether the scheduler says it is serving; false too when it cannot be reached */
  checkHealth(options: { signal: AbortSignal }): Promise<boolean>;
  /** @returns undefined from a stock scheduler, which is remembered while the client lives. @throws {RpcError} */
  hello(options: { signal: AbortSignal }): Promise<HelloAnswer | undefined>;
  /**
   * The stream of this daemon with a scheduler of ours. Ends when the scheduler ends it, or the requests do.
   * @throws {RpcError}
   */
  openLink(
    requests: AsyncIterable<swarm.LinkRequest>,
    options: { signal: AbortSignal },
  ): AsyncIterable<swarm.LinkResponse>;
}
