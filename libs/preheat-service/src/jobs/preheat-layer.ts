import { Code, ConnectError } from '@connectrpc/connect';
import type { JobLayer, LayerName, WantedJob } from '@d7y/manager-db';
import { DfError } from '@d7y/piece';
import {
  chooseTargets,
  downloadOn,
  each,
  inFetchOrder,
  isHeldBy,
  MAX_FETCHERS,
  type PreheatRole,
  spread,
  toDownload,
} from '@d7y/preheat';
import type { LayerMessage, Run } from '@d7y/preheat-queue';
import { safeText } from '@d7y/service-kit';
import type { ClusterHost } from '../cluster/cluster-hosts.ts';
import { argsOf, type JobContext, mostTries, reasonOf, untilDeadline } from './context.ts';
import { nameOf, toLayerMessage, urlOf } from './preheat-job.ts';
import { type PreheatRequest, toPreheatRequest } from './preheat-request.ts';

/** Not every host that is to have a layer has it. */
export class LayerIncompleteError extends DfError {
  override readonly name = 'LayerIncompleteError';
  readonly code = 'LAYER_INCOMPLETE';
  readonly retryable: boolean;
  /** @param isFinal every host that does not have it said so in words that will not change */
  constructor(message: string, { isFinal = false }: { isFinal?: boolean } = {}) {
    super(message);
    this.retryable = !isFinal;
  }
}

/** Times that a layer is tried; each only where it is missing. */
const MAX_LAYER_TRIES = 3;
/** Hosts asked at once what they hold. */
const ASKED_AT_ONCE = 64;
/** Answers of a daemon that will not change. */
const FINAL: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.NotFound,
  Code.Unimplemented,
]);

/** Brings one layer to the hosts of one cluster. @returns the layer whose turn it is then */
export const doLayer =
  (context: JobContext) =>
  async (message: LayerMessage, run: Run): Promise<readonly LayerMessage[]> => {
    const { work } = context;
    const job = await work.wanted(message.jobId, message.attempt);
    if (job === undefined) return [];
    const layer = await work.layer(message);
    const deadline = untilDeadline(job, run.signal);
    if (layer !== undefined && layer.state !== 'SUCCESS' && layer.state !== 'FAILURE') {
      const name = nameOf(job.id, layer);
      await work.setLayer(name, {
        state: 'STARTED',
        attempts: layer.attempts + 1,
        startedAt: layer.startedAt ?? new Date(),
        error: null,
      });
      try {
        await bring(context, job, layer, deadline.signal);
        await work.setLayer(name, { state: 'SUCCESS', finishedAt: new Date() });
      } catch (error) {
        // Stopped or cancelled: not a failure of the layer.
        run.signal.throwIfAborted();
        const reason = deadline.isOver() ? 'the job took longer than it may' : safeText(reasonOf(error));
        const isFinal =
          deadline.isOver() ||
          (error instanceof DfError && !error.retryable) ||
          run.tries + 1 >= mostTries(error, MAX_LAYER_TRIES);
        await work.setLayer(name, {
          state: isFinal ? 'FAILURE' : 'RETRY',
          error: reason,
          ...(isFinal && { finishedAt: new Date() }),
        });
        if (!isFinal) throw error;
      }
      await work.note(job.id, job.attempt, { progress: await work.progress(job.id) }, new Date());
    }
    const next = await work.claim(job.id, message.clusterId, 1);
    return next.map((one) => toLayerMessage(message, one));
  };

async function bring(context: JobContext, job: WantedJob, layer: JobLayer, signal: AbortSignal): Promise<void> {
  const request = toPreheatRequest(argsOf(context, job), context.trust);
  const url = urlOf(layer, request, context.byDigest);
  const standing = await context.reader.standing(url, request.access, { signal, isBare: request.isBare });
  const bringing = new Bringing(context, nameOf(job.id, layer), request, url, standing.isPrivate, signal);
  await bringing.choose();
  await bringing.askHolders();
  await bringing.spread({ kind: 'fetcher', credentials: standing.credentials });
  bringing.check();
}

/** One layer on its way to the hosts of a cluster. Owner of what is known of each of them. */
class Bringing {
  readonly #context: JobContext;
  readonly #name: LayerName;
  readonly #request: PreheatRequest;
  readonly #url: string;
  readonly #isPrivate: boolean;
  readonly #signal: AbortSignal;
  /** Those that do not have it, in the order in which they are asked to fetch. */
  #missing: readonly ClusterHost[] = [];
  #targets = 0;
  readonly #failures = new Map<string, { readonly host: string; readonly reason: string; readonly isFinal: boolean }>();
  readonly #gone: string[] = [];

  constructor(
    context: JobContext,
    name: LayerName,
    request: PreheatRequest,
    url: string,
    isPrivate: boolean,
    signal: AbortSignal,
  ) {
    this.#context = context;
    this.#name = name;
    this.#request = request;
    this.#url = url;
    this.#isPrivate = isPrivate;
    this.#signal = signal;
  }

  get #isSingle(): boolean {
    return this.#request.choice.scope === 'single_seed_peer';
  }

  /** Who is to have it: as it was chosen once, so that another try means the same hosts. */
  async choose(): Promise<void> {
    const { work, hosts } = this.#context;
    const { choice } = this.#request;
    const there = await hosts.of(this.#name.clusterId);
    const { taskId } = this.#name;
    let rows = await work.targets(this.#name.jobId, this.#name);
    if (this.#isSingle) {
      this.#missing = inFetchOrder(chooseTargets(there, choice), choice.scope, taskId).slice(0, MAX_FETCHERS);
      this.#targets = 1;
      return;
    }
    if (rows.length === 0) {
      const chosen = chooseTargets(there, choice).map(({ id: hostId, hostname, ip }) => ({ hostId, hostname, ip }));
      await work.addTargets(this.#name, chosen);
      rows = await work.targets(this.#name.jobId, this.#name);
    }
    this.#targets = rows.length;
    const byId = new Map(there.map((host) => [host.id, host]));
    const missing: ClusterHost[] = [];
    for (const { hostId, hostname, state } of rows) {
      if (state === 'SUCCESS') continue;
      const host = byId.get(hostId);
      if (host !== undefined) missing.push(host);
      else {
        this.#gone.push(hostname);
        await work.setTarget(this.#name, hostId, {
          state: 'FAILURE',
          error: 'the host is gone',
          finishedAt: new Date(),
        });
      }
    }
    this.#missing = inFetchOrder(missing, choice.scope, taskId);
  }

  /** Whoever has it is left alone: a job that begins anew repeats nothing. */
  async askHolders(): Promise<void> {
    const holders = new Set<string>();
    // Of a single seed it matters who the first one is; the others are asked only if that fails.
    const asked = this.#isSingle ? this.#missing.slice(0, 1) : this.#missing;
    const options = { signal: this.#signal };
    await each(
      asked,
      ASKED_AT_ONCE,
      async (host) => {
        if ((await isHeldBy(this.#context.connect(host), [this.#name.taskId], options)) !== true) return;
        holders.add(host.id);
        await this.#succeeded(host);
      },
      options,
    );
    this.#signal.throwIfAborted();
    this.#missing = this.#isSingle && holders.size > 0 ? [] : this.#missing.filter(({ id }) => !holders.has(id));
  }

  async spread(fetcher: PreheatRole): Promise<void> {
    if (this.#missing.length === 0) return;
    await spread(this.#missing, {
      fetch: (host, onStarted) => this.#bringTo(host, fetcher, onStarted),
      follow: async (host) => {
        await this.#bringTo(host, { kind: this.#isPrivate ? 'keeper' : 'follower' });
      },
      concurrency: this.#request.concurrentPeers,
      isSingle: this.#isSingle,
      signal: this.#signal,
    });
    this.#signal.throwIfAborted();
  }

  /** @throws {LayerIncompleteError} too few have it */
  check(): void {
    const failed = [...this.#failures.values()];
    const missing = this.#isSingle
      ? this.#missing.length > 0 && failed.length >= this.#missing.length
        ? 1
        : 0
      : failed.length + this.#gone.length;
    const needed = Math.max(1, Math.ceil((this.#targets * this.#request.quorum) / 100));
    if (this.#targets - missing >= needed) return;
    const [first] = failed;
    const where = first === undefined ? this.#gone.join(', ') : first.host;
    const isFinal = failed.length > 0 && failed.every((one) => one.isFinal);
    const reason = first?.reason ?? 'the host is gone';
    throw new LayerIncompleteError(`${missing} of ${this.#targets} hosts do not have it; ${where}: ${reason}`, {
      isFinal,
    });
  }

  /** Never rejects. @returns whether the host has it now: it said so */
  async #bringTo(host: ClusterHost, role: PreheatRole, onStarted?: () => void): Promise<boolean> {
    const { work, connect, byDigest, remoteIp, onTarget } = this.#context;
    const { identity, access, priority } = this.#request;
    try {
      if (this.#isSingle)
        await work.addTargets(this.#name, [{ hostId: host.id, hostname: host.hostname, ip: host.ip }]);
      await work.setTarget(this.#name, host.id, { state: 'STARTED', startedAt: new Date() });
      const download = toDownload(this.#url, { identity, access, extras: { priority }, byDigest, remoteIp }, role);
      const transport = connect(host);
      const taskId = await downloadOn(transport, download, { signal: this.#signal, onStarted });
      if ((await isHeldBy(transport, [taskId ?? this.#name.taskId], { signal: this.#signal })) !== true)
        throw new LayerIncompleteError('it says that it has it no more');
      if (taskId !== undefined && taskId !== this.#name.taskId)
        this.#context.logger.debug(
          { hostId: host.id, taskId, expected: this.#name.taskId },
          'a daemon knows the layer by another id',
        );
      this.#failures.delete(host.id);
      await this.#succeeded(host);
      onTarget('succeeded');
      return true;
    } catch (error) {
      if (this.#signal.aborted) return false;
      const reason = safeText(reasonOf(error));
      this.#failures.set(host.id, { host: host.hostname, reason, isFinal: FINAL.has(ConnectError.from(error).code) });
      onTarget('failed');
      this.#context.logger.info(
        { jobId: this.#name.jobId, hostId: host.id, taskId: this.#name.taskId, reason },
        'a layer did not come to a host',
      );
      await work
        .setTarget(this.#name, host.id, { state: 'FAILURE', error: reason, finishedAt: new Date() })
        .catch(() => undefined);
      return false;
    }
  }

  async #succeeded(host: ClusterHost): Promise<void> {
    const { work } = this.#context;
    if (this.#isSingle) {
      await work.addTargets(this.#name, [{ hostId: host.id, hostname: host.hostname, ip: host.ip }]);
      // One is enough; those that failed before are not the ones that were meant any more.
      for (const id of this.#failures.keys()) await work.dropTarget(this.#name, id);
      this.#failures.clear();
    }
    await work.setTarget(this.#name, host.id, { state: 'SUCCESS', error: null, finishedAt: new Date() });
  }
}
