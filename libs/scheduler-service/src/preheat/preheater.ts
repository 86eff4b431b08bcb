import { ConnectError } from '@connectrpc/connect';
import { DfError } from '@d7y/piece';
import type { Logger, Secret, Telemetry } from '@d7y/service-kit';
import { safeUrl, withSpan } from '@d7y/service-kit';
import type { HostView } from '@d7y/swarm';
import { type Connect, downloadOn, isHeldBy, toDownload } from './daemon-calls.ts';
import { each } from './each.ts';
import type { DownloadExtras, OriginAccess, PreheatLimits, TargetChoice, TaskIdentity } from './preheat-request.ts';
import { taskIdsOf } from './preheat-request.ts';
import { chooseTargets } from './targets.ts';

/** Preheats under way at once; more are turned down. */
const MAX_JOBS = 64;
/** Daemons that are asked in turn to fetch one file from the origin. */
const MAX_FETCHERS = 3;
/** Failures of one preheat that are logged one by one. */
const MAX_LOGGED_FAILURES = 20;

/** Too much is being preheated. */
export class PreheatBacklogError extends DfError {
  override readonly name = 'PreheatBacklogError';
  readonly code = 'TOO_MANY_REQUESTS';
  readonly retryable = true;
}

/** What is to be fetched, by whom. */
export interface PreheatPlan {
  readonly urls: readonly string[];
  readonly identity: TaskIdentity;
  readonly access: OriginAccess;
  /** For the one daemon that fetches a file. */
  readonly credentials: Readonly<Record<string, Secret>>;
  readonly extras: DownloadExtras;
  readonly choice: TargetChoice;
  readonly limits: PreheatLimits;
}

/** What came of a file on a daemon. */
export type PreheatOutcome = 'succeeded' | 'failed';

export interface PreheaterOptions {
  readonly hosts: () => Iterable<HostView>;
  readonly connect: Connect;
  /** Whether ids of blobs are their digests, as daemons are configured. */
  readonly byDigest: boolean;
  /** Of this scheduler. */
  readonly ip: string;
  readonly onOutcome: (outcome: PreheatOutcome) => void;
  readonly telemetry: Telemetry;
  readonly logger: Logger;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

/** Where one daemon has a file. */
export interface HeldFile {
  readonly host: HostView;
  readonly urls: readonly string[];
}

/**
 * Has daemons fetch files before anybody asks for them. Of each file one daemon fetches from the origin, with the credentials if there are
 * any; the others of the scope are asked once it has begun, without, and get it from the swarm.
 */
export class Preheater {
  readonly #options: PreheaterOptions;
  #jobs = 0;

  constructor(options: PreheaterOptions) {
    this.#options = options;
  }

  /** Preheats that are under way. */
  get jobs(): number {
    return this.#jobs;
  }

  /**
   * Begins a preheat in the background.
   * @returns a promise of whether everything was fetched; it never rejects
   * @throws {NoTargetError} @throws {PreheatBacklogError}
   */
  start(plan: PreheatPlan): Promise<boolean> {
    if (this.#jobs >= MAX_JOBS) throw new PreheatBacklogError(`${MAX_JOBS} preheats are under way`);
    // Now, while there is somebody to tell that nobody can fetch.
    const [first] = plan.urls;
    if (first !== undefined) this.#targetsOf(plan, first);
    this.#jobs++;
    return this.#run(plan).finally(() => this.#jobs--);
  }

  /** Which daemons hold which of the files whole. */
  async held(
    urls: readonly string[],
    identity: TaskIdentity,
    limits: PreheatLimits,
    { signal }: { signal: AbortSignal },
  ): Promise<readonly HeldFile[]> {
    const { hosts, connect, byDigest, logger } = this.#options;
    const files = urls.map((url) => ({ url, taskIds: taskIdsOf(url, identity, byDigest) }));
    const found: HeldFile[] = [];
    let silent = 0;
    const ask = async (host: HostView): Promise<void> => {
      const held = new Set<string>();
      let isSilent = false;
      await each(
        files,
        limits.concurrentTasks,
        async ({ url, taskIds }) => {
          // Who does not answer for one file is not asked for fifty others.
          if (isSilent) return;
          const answer = await isHeldBy(connect(host), taskIds, { signal });
          if (answer === undefined) isSilent = true;
          if (answer === true) held.add(url);
        },
        { signal },
      );
      if (isSilent) silent++;
      if (held.size > 0) found.push({ host, urls: urls.filter((url) => held.has(url)) });
    };
    await each(hosts(), limits.concurrentPeers, ask, { signal });
    signal.throwIfAborted();
    if (silent > 0) logger.warn({ daemons: silent }, 'some daemons do not say what they hold');
    return found;
  }

  #targetsOf({ choice, identity }: PreheatPlan, url: string): readonly HostView[] {
    const { hosts, byDigest } = this.#options;
    const [taskId = ''] = taskIdsOf(url, identity, byDigest);
    return chooseTargets(hosts(), choice, taskId);
  }

  async #run(plan: PreheatPlan): Promise<boolean> {
    const { telemetry, logger } = this.#options;
    const { limits, urls, choice } = plan;
    const timeout = AbortSignal.timeout(limits.timeoutMs);
    const signal = AbortSignal.any([this.#options.signal, timeout]);
    const report = new Report(this.#options);
    const attributes = { 'd7y.files': urls.length, 'd7y.scope': choice.scope };
    await withSpan(telemetry.tracer, 'preheat', { attributes }, () =>
      each(urls, limits.concurrentTasks, (url) => this.#preheat(plan, url, report, signal), { signal }),
    ).catch((error: unknown) => report.failed(undefined, undefined, error));
    const facts = { files: urls.length, scope: choice.scope, ...report.counts };
    if (timeout.aborted) logger.warn({ ...facts, timeoutMs: limits.timeoutMs }, 'a preheat took too long');
    else if (report.counts.failed > 0) logger.warn(facts, 'a preheat has failed in part');
    else logger.info(facts, 'preheated');
    return !signal.aborted && report.counts.failed === 0;
  }

  /** Never rejects. */
  async #preheat(plan: PreheatPlan, url: string, report: Report, signal: AbortSignal): Promise<void> {
    let targets: readonly HostView[];
    try {
      targets = this.#targetsOf(plan, url);
    } catch (error) {
      report.failed(url, undefined, error);
      return;
    }
    const begun = Promise.withResolvers<void>();
    const isSingle = plan.choice.scope === 'single_seed_peer';
    const fetched = this.#fetch(plan, url, targets.slice(0, MAX_FETCHERS), report, begun.resolve, signal);
    if (!isSingle) {
      // The fetcher first: the others find it in the swarm, and the origin is asked once.
      await Promise.race([begun.promise, fetched]);
      const tried = await Promise.race([fetched, Promise.resolve(targets.slice(0, 1))]);
      const others = targets.filter((target) => !tried.includes(target));
      const share = (host: HostView) =>
        this.#download(plan, url, host, undefined, report, { signal }).then(() => undefined);
      await each(others, plan.limits.concurrentPeers, share, { signal });
    }
    await fetched;
  }

  /** Tries one daemon after the other. @returns those that were tried */
  async #fetch(
    plan: PreheatPlan,
    url: string,
    candidates: readonly HostView[],
    report: Report,
    onStarted: () => void,
    signal: AbortSignal,
  ): Promise<readonly HostView[]> {
    const tried: HostView[] = [];
    for (const host of candidates) {
      tried.push(host);
      if (await this.#download(plan, url, host, plan.credentials, report, { signal, onStarted })) break;
      if (signal.aborted) break;
    }
    return tried;
  }

  /** Never rejects. @returns whether the daemon has it */
  async #download(
    plan: PreheatPlan,
    url: string,
    host: HostView,
    credentials: Readonly<Record<string, Secret>> | undefined,
    report: Report,
    options: { signal: AbortSignal; onStarted?: () => void },
  ): Promise<boolean> {
    const { connect, byDigest, ip } = this.#options;
    try {
      const download = toDownload(url, { ...plan, byDigest, remoteIp: ip }, credentials);
      await downloadOn(connect(host), download, options);
      report.succeeded();
      return true;
    } catch (error) {
      report.failed(url, host, error);
      return false;
    }
  }
}

/** What comes of one preheat. */
class Report {
  readonly #options: Pick<PreheaterOptions, 'logger' | 'onOutcome'>;
  #succeeded = 0;
  #failed = 0;

  constructor(options: Pick<PreheaterOptions, 'logger' | 'onOutcome'>) {
    this.#options = options;
  }

  get counts() {
    return { succeeded: this.#succeeded, failed: this.#failed };
  }

  succeeded(): void {
    this.#succeeded++;
    this.#options.onOutcome('succeeded');
  }

  failed(url: string | undefined, host: HostView | undefined, error: unknown): void {
    this.#failed++;
    this.#options.onOutcome('failed');
    if (this.#failed > MAX_LOGGED_FAILURES) return;
    const reason = error instanceof ConnectError ? error.rawMessage : error instanceof Error ? error.message : '';
    const facts = { ...(url !== undefined && { url: safeUrl(url) }), hostId: host?.id, reason };
    this.#options.logger.warn({ err: error, ...facts }, 'a file was not preheated');
  }
}
