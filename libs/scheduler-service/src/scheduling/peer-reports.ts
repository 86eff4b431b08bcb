import type { Logger } from '@d7y/service-kit';
import type { ApplicationPriorities, DescribedDownload } from '../dynconfig/application-priorities.ts';
import type { DeliveryFacts, PeerView, RegistrationFacts } from '@d7y/swarm';
import type { Records, SeedDownloadOf, TaskRecord } from '../messages/records.ts';
import { peerLabels, pieceLabels, sizeLevelOf } from '../metrics.ts';
import type { SchedulerMetrics, TrafficLabel } from '../metrics.ts';
import type { PeerChannel } from './peer-channel.ts';
import type { SwarmDriver } from './swarm-driver.ts';

/** Pieces that came together. */
export interface Arrival {
  readonly pieces: Iterable<number>;
  readonly deliveries: readonly (DeliveryFacts & { readonly traffic: TrafficLabel })[];
}

/** How a peer describes itself and its task to others. */
export interface PeerDescription extends DescribedDownload {
  /** Unless it is what all do. */
  readonly concurrentPieceCount?: number | undefined;
  task(): TaskRecord;
  readonly seedDownload: SeedDownloadOf | undefined;
}

/** What peers say of themselves, whichever way they say it: counted, and told to the swarm. */
export class PeerReports {
  readonly #driver: SwarmDriver;
  readonly #records: Records;
  readonly #metrics: SchedulerMetrics;
  readonly #logger: Logger;
  readonly #priorities: () => ApplicationPriorities;

  constructor(parts: {
    readonly driver: SwarmDriver;
    readonly records: Records;
    readonly metrics: SchedulerMetrics;
    readonly logger: Logger;
    /** What the cluster wants of applications' downloads at this moment. */
    readonly priorities: () => ApplicationPriorities;
  }) {
    this.#driver = parts.driver;
    this.#records = parts.records;
    this.#metrics = parts.metrics;
    this.#logger = parts.logger;
    this.#priorities = parts.priorities;
  }

  /**
   * A peer registers; answers go to `channel` from now on.
   * @param described how, for others; asked only where it is not known yet
   * @returns undefined when it was turned down
   */
  registered(channel: PeerChannel, facts: RegistrationFacts, described: PeerDescription): PeerView | undefined {
    const { peerId, hostId, taskId } = facts;
    let registered: PeerView | undefined;
    this.#driver.attach(peerId, channel);
    // The records must be there before decisions are carried out: candidates and seed triggers are made from them.
    this.#driver.tell((swarm, nowMs) => {
      const priority = this.#priorities().of(facts.priority, described);
      const decisions = swarm.peerRegistered(priority === facts.priority ? facts : { ...facts, priority }, nowMs);
      const peer = swarm.peer(peerId);
      if (peer?.host.id === hostId && peer.task.id === taskId) {
        registered = peer;
        const { concurrentPieceCount, seedDownload } = described;
        if (concurrentPieceCount !== undefined) this.#records.keepPeer(peer, { concurrentPieceCount });
        if (this.#records.task(peer.task) === undefined) this.#records.keepTask(peer.task, described.task());
        if (seedDownload !== undefined) this.#records.keepSeedDownload(peer.task, seedDownload);
        this.#metrics.registerPeer.attempt(peerLabels(peer));
      }
      return decisions;
    });
    return registered;
  }

  started(peer: PeerView): void {
    this.#metrics.peerStarted.attempt(peerLabels(peer));
    this.#driver.tell((swarm, nowMs) => swarm.peerStarted(peer.id, nowMs));
  }

  startedAtOrigin(peer: PeerView): void {
    this.#metrics.backToSourceStarted.attempt(peerLabels(peer));
    this.#driver.tell((swarm, nowMs) => swarm.backToSourceStarted(peer.id, nowMs));
  }

  piecesFinished(peer: PeerView, { pieces, deliveries }: Arrival): void {
    for (const delivery of deliveries) this.#countDelivery(peer, delivery);
    this.#driver.tell((swarm, nowMs) => swarm.piecesFinished(peer.id, { pieces, deliveries }, nowMs));
  }

  pieceFailed(peer: PeerView, parentId: string, pieceNumber: number | undefined): void {
    this.#metrics.pieceFinished.failure(pieceLabels(peer, 'REMOTE_PEER'));
    this.#logger.debug({ peerId: peer.id, parentId, pieceNumber }, 'a piece failed');
    this.#driver.tell((swarm, nowMs) => swarm.pieceFailed(peer.id, parentId, nowMs));
  }

  originPieceFailed(peer: PeerView): void {
    this.#metrics.pieceFinished.failure(pieceLabels(peer, 'BACK_TO_SOURCE'));
    this.#driver.tell((swarm, nowMs) => swarm.originPieceFailed(peer.id, nowMs));
  }

  rescheduled(peer: PeerView, exhaustedParentIds: Iterable<string>): void {
    this.#driver.tell((swarm, nowMs) => swarm.rescheduleRequested(peer.id, exhaustedParentIds, nowMs));
  }

  /** An answer went out. @param askedAtMs on the driver's clock */
  answered(askedAtMs: number): void {
    this.#metrics.scheduleMilliseconds.observe(this.#driver.now() - askedAtMs);
  }

  finished(peer: PeerView, fromOrigin: boolean): void {
    const labels = peerLabels(peer);
    this.#metrics.peerFinished.attempt(labels);
    this.#metrics.downloadMilliseconds.observe(
      { task_size_level: sizeLevelOf(peer.task.size.contentLength) },
      this.#driver.now() - peer.createdAtMs,
    );
    this.#driver.tell((swarm, nowMs) => swarm.peerFinished(peer.id, { fromOrigin }, nowMs));
  }

  failed(
    peer: PeerView,
    facts: {
      readonly fromOrigin: boolean;
      readonly description: string | undefined;
      readonly originStatus: number | undefined;
    },
  ): void {
    const { fromOrigin, description, originStatus } = facts;
    const labels = peerLabels(peer);
    if (fromOrigin) this.#metrics.backToSourceFinishedFailure.inc(labels);
    this.#metrics.peerFinished.attempt(labels);
    this.#metrics.peerFinished.failure(labels);
    this.#logger.info({ peerId: peer.id, taskId: peer.task.id, fromOrigin, description }, 'a download failed');
    this.#driver.tell((swarm, nowMs) => swarm.peerFailed(peer.id, { fromOrigin, originStatus }, nowMs));
  }

  /** The channel is gone. Without a last word before, the peer counts as lost. */
  left(peerId: string, channel: PeerChannel, { isOver }: { readonly isOver: boolean }): void {
    if (!this.#driver.detach(peerId, channel) || isOver) return;
    this.#driver.tell((swarm, nowMs) => swarm.streamLost(peerId, nowMs));
  }

  #countDelivery(
    peer: PeerView,
    { parentId, pieces, bytes, durationMs, traffic }: DeliveryFacts & { readonly traffic: TrafficLabel },
  ): void {
    this.#metrics.pieceFinished.attempt(pieceLabels(peer, traffic), pieces);
    if (durationMs > 0 && pieces > 0) this.#metrics.pieceCostSeconds.observe(durationMs / pieces / 1000);
    const nameOf = ({ host }: PeerView): string => this.#records.host(host)?.message.hostname ?? '';
    const parent = parentId === undefined ? undefined : this.#driver.swarm.peer(parentId);
    this.#metrics.countTraffic(
      traffic,
      bytes,
      peer,
      nameOf(peer),
      parent === undefined ? undefined : { peer: parent, name: nameOf(parent) },
    );
  }
}
