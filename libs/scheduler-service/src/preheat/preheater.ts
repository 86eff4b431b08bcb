import { ConnectError } from '@connectrpc/connect';
import { DfError } from '@d7y/piece';
import {
  askWhoHolds,
  chooseTargets,
  type Connect,
  type Credentials,
  downloadOn,
  type DownloadExtras,
  each,
  type HeldFile,
  inFetchOrder,
  type OriginAccess,
  type PreheatHost,
  type PreheatRole,
  spread,
  type TargetChoice,
  type TaskIdentity,
  taskIdFor,
  taskIdsOf,
  toDownload,
} from '@d7y/preheat';
import type { Logger, Telemetry } from '@d7y/service-kit';
import { safeUrl, withSpan } from '@d7y/service-kit';
import type { PreheatLimits } from './preheat-request.ts';

/** Preheats under way at once; more are turned down. */
const MAX_JOBS = 64;
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
  readonly credentials: Credentials;
  /** Nobody gets it without them. */
  readonly isPrivate: boolean;
  readonly extras: DownloadExtras;
  readonly choice: TargetChoice;
  readonly limits: PreheatLimits;
}

/** What came of a file on a daemon. */
export type PreheatOutcome = 'succeeded' | 'failed';

export interface PreheaterOptions {
  /** Those that are not known to be gone. */
  readonly hosts: () => Iterable<PreheatHost>;
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
  ): Promise<readonly HeldFile<PreheatHost>[]> {
    const { hosts, connect, byDigest, logger } = this.#options;
    const files = urls.map((url) => ({ url, taskIds: taskIdsOf(url, identity, byDigest) }));
    const { concurrentPeers: concurrentHosts, concurrentTasks: concurrentFiles } = limits;
    const ways = { connect, concurrentHosts, concurrentFiles };
    const { held, silent } = await askWhoHolds(hosts(), files, ways, { signal });
    if (silent > 0) logger.warn({ daemons: silent }, 'some daemons do not say what they hold');
    return held;
  }

  #targetsOf({ choice, identity }: PreheatPlan, url: string): readonly PreheatHost[] {
    const { hosts, byDigest } = this.#options;
    return inFetchOrder(chooseTargets(hosts(), choice), choice.scope, taskIdFor(url, identity, byDigest));
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
    const { credentials, isPrivate, choice, limits } = plan;
    let targets: readonly PreheatHost[];
    try {
      targets = this.#targetsOf(plan, url);
    } catch (error) {
      report.failed(url, undefined, error);
      return;
    }
    await spread(targets, {
      fetch: (host, onStarted) =>
        this.#download(plan, url, host, { kind: 'fetcher', credentials }, report, { signal, onStarted }),
      follow: async (host) => {
        await this.#download(plan, url, host, { kind: isPrivate ? 'keeper' : 'follower' }, report, { signal });
      },
      concurrency: limits.concurrentPeers,
      isSingle: choice.scope === 'single_seed_peer',
      signal,
    });
  }

  /** Never rejects. @returns whether the daemon has it */
  async #download(
    plan: PreheatPlan,
    url: string,
    host: PreheatHost,
    role: PreheatRole,
    report: Report,
    options: { signal: AbortSignal; onStarted?: () => void },
  ): Promise<boolean> {
    const { connect, byDigest, ip } = this.#options;
    try {
      await downloadOn(connect(host), toDownload(url, { ...plan, byDigest, remoteIp: ip }, role), options);
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

  failed(url: string | undefined, host: PreheatHost | undefined, error: unknown): void {
    this.#failed++;
    this.#options.onOutcome('failed');
    if (this.#failed > MAX_LOGGED_FAILURES) return;
    const reason = error instanceof ConnectError ? error.rawMessage : error instanceof Error ? error.message : '';
    const facts = { ...(url !== undefined && { url: safeUrl(url) }), hostId: host?.id, reason };
    this.#options.logger.warn({ err: error, ...facts }, 'a file was not preheated');
  }
}
