import type { Transport } from '@connectrpc/connect';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger, Telemetry } from '@d7y/service-kit';
import { withSpan } from '@d7y/service-kit';
import type { Decision, HostFacts, Swarm } from '@d7y/swarm';
import { context } from '@opentelemetry/api';
import type { Clock } from '../clock.ts';
import type { Records } from '../messages/records.ts';
import type { SchedulerMetrics } from '../metrics.ts';
import type { PeerChannel } from './peer-channel.ts';
import { triggerSeed } from './seed-trigger.ts';

export interface SwarmDriverOptions {
  readonly swarm: Swarm;
  readonly clock: Clock;
  readonly records: Records;
  readonly metrics: SchedulerMetrics;
  readonly telemetry: Telemetry;
  readonly logger: Logger;
  /** To the upload service of a seed. */
  readonly connect: (seed: HostFacts) => Transport;
  /** Starts a health check whose result comes back as hostProbed. */
  readonly probe: (host: HostFacts) => void;
  /** The longest silence of a seed at work. */
  readonly seedSilenceMs: number;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

/** The swarm on a real clock and a real network: tells it what happened, and does what it decides. Knows where each peer hears of it. */
export class SwarmDriver {
  readonly swarm: Swarm;
  readonly #options: SwarmDriverOptions;
  readonly #channels = new Map<string, PeerChannel>();
  /** Ticks that were asked for between the regular ones. */
  readonly #early = new Set<NodeJS.Timeout>();

  constructor(options: SwarmDriverOptions) {
    this.#options = options;
    this.swarm = options.swarm;
    options.signal.addEventListener('abort', () => {
      for (const timer of this.#early) clearTimeout(timer);
    });
  }

  /** Milliseconds of the clock that the swarm lives by. */
  now(): number {
    return this.#options.clock();
  }

  /** Reports a fact to the swarm and carries out what it decides. */
  tell(fact: (swarm: Swarm, nowMs: number) => readonly Decision[]): void {
    for (const decision of fact(this.swarm, this.now())) this.#carryOut(decision);
  }

  /** From now on answers to the peer go here; an older conversation of the same peer is over. */
  attach(peerId: string, channel: PeerChannel): void {
    const older = this.#channels.get(peerId);
    this.#channels.set(peerId, channel);
    if (older !== channel) older?.supersede();
  }

  /** @returns whether the channel was the peer's present one */
  detach(peerId: string, channel: PeerChannel): boolean {
    if (this.#channels.get(peerId) !== channel) return false;
    this.#channels.delete(peerId);
    return true;
  }

  /** Looks after deadlines and expiry; called a few times a second. */
  tick(): void {
    this.tell((swarm, nowMs) => swarm.tick(nowMs));
  }

  #carryOut(decision: Decision): void {
    const { logger, probe, swarm } = this.#options;
    if (logger.isLevelEnabled('debug')) logger.debug({ decision: toLogged(decision) }, decision.kind);
    switch (decision.kind) {
      case 'offerParents': {
        this.#channels.get(decision.peerId)?.offerParents(decision.parents);
        return;
      }
      case 'tellHotPieces':
        this.#channels.get(decision.peerId)?.tellHotPieces?.(decision.pieces);
        return;
      case 'grantOrigin':
        this.#channels.get(decision.peerId)?.grantOrigin(decision.reason);
        return;
      case 'answerEmpty':
        this.#channels.get(decision.peerId)?.answerEmpty();
        return;
      case 'answerMetadataOnly':
        this.#channels.get(decision.peerId)?.answerMetadataOnly();
        return;
      case 'refuse':
        this.#channels.get(decision.peerId)?.refuse(decision.code, decision.reason);
        return;
      case 'triggerSeed':
        void this.#trigger(decision);
        return;
      case 'probeHost': {
        const host = swarm.host(decision.hostId);
        if (host !== undefined) probe(host.facts);
        return;
      }
      case 'tickAt':
        this.#tickAt(decision.atMs);
        return;
      default:
        decision satisfies never;
    }
  }

  #tickAt(atMs: number): void {
    const timer = setTimeout(
      () => {
        this.#early.delete(timer);
        this.tick();
      },
      Math.max(0, atMs - this.now()),
    );
    this.#early.add(timer);
  }

  async #trigger({ taskId, seedHostId, peerId }: Decision & { kind: 'triggerSeed' }): Promise<void> {
    const { swarm, records, metrics, telemetry, logger, signal } = this.#options;
    const seed = swarm.host(seedHostId);
    const peer = swarm.peer(peerId);
    const download = peer === undefined ? undefined : records.seedDownload(peer);
    const parent = this.#channels.get(peerId)?.trace ?? context.active();
    const attributes = { 'd7y.task_id': taskId, 'd7y.seed': seedHostId };
    metrics.seedTriggers.attempt();
    try {
      await withSpan(telemetry.tracer, 'trigger seed', { attributes, parent }, async () => {
        if (seed === undefined || download === undefined)
          throw new ConnectError('seed or peer has left', Code.NotFound);
        const { connect, seedSilenceMs } = this.#options;
        await triggerSeed(connect(seed.facts), seed.facts, download, { signal, silentMs: seedSilenceMs });
      });
      if (!signal.aborted) this.tell((core, nowMs) => core.seedTriggerEnded(taskId, seedHostId, nowMs));
    } catch (error) {
      if (signal.aborted) return;
      metrics.seedTriggers.failure();
      logger.warn({ err: error, taskId, seedHostId }, 'a seed did not fetch a task that it was told to');
      this.tell((core, nowMs) => core.seedTriggerFailed(taskId, seedHostId, nowMs));
    }
  }
}

/** Parents by their names: a peer knows all others. */
function toLogged(decision: Decision): object {
  if (decision.kind !== 'offerParents') return decision;
  return { ...decision, parents: decision.parents.map(({ peerId, role }) => ({ peerId, role })) };
}
