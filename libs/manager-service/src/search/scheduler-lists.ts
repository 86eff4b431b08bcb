import { create, toBinary } from '@bufbuild/protobuf';
import { manager } from '@d7y/api';
import type { Seeker } from '@d7y/cluster-search';
import { grpcFrame } from '@d7y/service-kit';
import { LRUCache } from 'lru-cache';
import type { TellProblem } from './cluster-documents.ts';
import { clusterForDaemons, schedulerForDaemons } from './cluster-messages.ts';
import type { SchedulerFacts } from './cluster-facts.ts';
import type { ClusterView, ViewedCluster } from './cluster-view.ts';

/** Of whole answers; an answer names all clusters, so there are as many as there are orders in which clusters suit daemons. */
const MAX_ANSWER_BYTES = 64 * 2 ** 20;

/** How often an answer was there, and how often it had to be put together. */
export interface CacheCounts {
  hits: number;
  misses: number;
}

/**
 * Answers to daemons that look for schedulers, encoded. The schedulers of a cluster are encoded once for a view, or taken over from the
 * view before; an answer is those of all clusters in the order of the daemon, and daemons with the same order share it. Nothing is kept of a
 * daemon: its order is found faster than it would be in a table of a hundred thousand.
 */
export class SchedulerLists {
  readonly counts: CacheCounts = { hits: 0, misses: 0 };
  readonly #tell: TellProblem;
  #view: ClusterView | undefined;
  /** What was encoded of a cluster, and from what: it may serve for the next view, too. */
  #parts = new Map<number, EncodedCluster>();
  #byCluster = new Map<number, Buffer>();
  /** Key of an order → answer. */
  readonly #answers = new LRUCache<string, Buffer>({
    maxSize: MAX_ANSWER_BYTES,
    sizeCalculation: (answer, key) => answer.length + key.length + 1,
  });

  constructor(tell: TellProblem) {
    this.#tell = tell;
  }

  /** Every scheduler of one cluster, active or not; undefined when there is no such cluster. */
  ofCluster(view: ClusterView, clusterId: number): Buffer | undefined {
    this.#show(view);
    const known = this.#byCluster.get(clusterId);
    if (known !== undefined) return known;
    const cluster = view.clusters.get(clusterId);
    if (cluster === undefined) return undefined;
    const answer = grpcFrame(encode(cluster.schedulers, cluster, view, this.#tell));
    this.#byCluster.set(clusterId, answer);
    return answer;
  }

  /** The schedulers of all clusters that daemons are sent to, the best cluster for this one first. */
  forSeeker(view: ClusterView, seeker: Seeker): Buffer {
    this.#show(view);
    const order = view.order(seeker);
    let answer = this.#answers.get(order.key);
    if (answer !== undefined) {
      this.counts.hits++;
      return answer;
    }
    this.counts.misses++;
    const parts = order.clusterIds().flatMap((id) => this.#parts.get(id)?.bytes ?? []);
    answer = grpcFrame(Buffer.concat(parts));
    this.#answers.set(order.key, answer);
    return answer;
  }

  #show(view: ClusterView): void {
    if (view === this.#view) return;
    const before = this.#parts;
    this.#parts = new Map();
    let isSame = this.#view !== undefined && before.size === view.offered.size;
    for (const id of view.offered) {
      const cluster = view.clusters.get(id);
      if (cluster === undefined) continue;
      const schedulers = view.usableSchedulers(cluster);
      const content = JSON.stringify([
        cluster.facts,
        schedulers.map((each) => [{ ...each, activeUntilMs: 0 }, view.isActive(each)]),
      ]);
      const known = before.get(id);
      if (known?.content !== content) isSame = false;
      this.#parts.set(
        id,
        known?.content === content ? known : { content, bytes: encode(schedulers, cluster, view, this.#tell) },
      );
    }
    this.#view = view;
    this.#byCluster.clear();
    if (isSame) return;
    this.#answers.clear();
  }
}

interface EncodedCluster {
  readonly content: string;
  readonly bytes: Uint8Array;
}

/** Messages of one repeated field may be put behind each other: a list is what its parts are. */
function encode(
  schedulers: readonly SchedulerFacts[],
  cluster: ViewedCluster,
  view: ClusterView,
  tell: TellProblem,
): Uint8Array {
  const schedulerCluster = clusterForDaemons(cluster, tell);
  const list = schedulers.map((scheduler) => ({ ...schedulerForDaemons(scheduler, view), schedulerCluster }));
  return toBinary(
    manager.ListSchedulersResponseSchema,
    create(manager.ListSchedulersResponseSchema, { schedulers: list }),
  );
}
