import type { Ground } from './ground.ts';
import type { Members } from './members.ts';
import { NONE } from './none.ts';
import { QUEUED } from './transfers.ts';
import type { Transfers } from './transfers.ts';

/** Requests that wait at a host until it can send, first come, first served but for what one child asked for. */
export class UploadQueue {
  readonly head: Int32Array;
  readonly tail: Int32Array;
  readonly next: Int32Array;
  readonly previous: Int32Array;
  readonly #isMesh: boolean;
  readonly #members: Members;
  readonly #transfers: Transfers;

  constructor({ isMesh, hosts, members, transfers }: Pick<Ground, 'isMesh' | 'hosts' | 'members' | 'transfers'>) {
    this.#isMesh = isMesh;
    this.#members = members;
    this.#transfers = transfers;
    this.head = new Int32Array(hosts.count).fill(NONE);
    this.tail = new Int32Array(hosts.count).fill(NONE);
    this.next = new Int32Array(transfers.phase.length);
    this.previous = new Int32Array(transfers.phase.length);
  }

  /** Behind what the same child waits for already; else at the end. */
  enqueue(host: number, transfer: number): void {
    this.#transfers.phase[transfer] = QUEUED;
    let before = this.tail[host];
    if (this.#isMesh) {
      const child = this.#members.hostOf(this.#transfers.child[transfer]);
      while (before !== NONE && this.#members.hostOf(this.#transfers.child[before]) !== child)
        before = this.previous[before];
      if (before === NONE) before = this.tail[host];
    }
    const after = before === NONE ? NONE : this.next[before];
    this.next[transfer] = after;
    this.previous[transfer] = before;
    if (before === NONE) this.head[host] = transfer;
    else this.next[before] = transfer;
    if (after === NONE) this.tail[host] = transfer;
    else this.previous[after] = transfer;
  }

  /** A child that has had its turn comes last with what else it asked for. */
  lineUpAgain(host: number, member: number): void {
    if (!this.#isMesh) return;
    const child = this.#members.hostOf(member);
    const line: number[] = [];
    for (let transfer = this.head[host]; transfer !== NONE; transfer = this.next[transfer])
      if (this.#members.hostOf(this.#transfers.child[transfer]) === child) line.push(transfer);
    for (const transfer of line) this.dequeue(host, transfer);
    for (const transfer of line) this.enqueue(host, transfer);
  }

  dequeue(host: number, transfer: number): void {
    const next = this.next[transfer];
    const previous = this.previous[transfer];
    if (previous === NONE) this.head[host] = next;
    else this.next[previous] = next;
    if (next === NONE) this.tail[host] = previous;
    else this.previous[next] = previous;
  }
}
