import { readDfdaemonConfig, startDfdaemon } from '@d7y/dfdaemon-service';
import type { RunningDfdaemon } from '@d7y/dfdaemon-service';
import { readSchedulerConfig, startScheduler } from '@d7y/scheduler-service';
import type { LogLevel, Secret } from '@d7y/service-kit';
import { describeSystemError, StartError } from '@d7y/service-kit';
import { setTimeout as sleep } from 'node:timers/promises';
import { prepareDataDir } from './data-dir.ts';
import type { EmbeddedManager, EmbeddedManagerOptions } from './embedded-manager.ts';
import { startEmbeddedManager } from './embedded-manager.ts';
import { ensureFreePorts } from './free-ports.ts';
import type { ClusterPlan } from './plan.ts';
import { planCluster } from './plan.ts';
import type { ProofResult } from './proof.ts';
import { proveCluster } from './proof.ts';
import { readStatus } from './status.ts';

export interface UpOptions {
  readonly dataDir: string;
  readonly portBase: number;
  readonly otlpEndpoint: string | undefined;
  readonly logLevel: LogLevel;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Get a file through the cluster before calling it up. */
  readonly proof: boolean;
  /** Gets what an operator should know while it runs. */
  readonly report?: (line: string) => void;
}

export interface RunningCluster extends AsyncDisposable {
  readonly plan: ClusterPlan;
  readonly proof: ProofResult | undefined;
  /** Random, of the manager's user `root`, when this start made that user. */
  readonly rootPassword: Secret | undefined;
}

/** How long daemons have to find their scheduler and each other. */
const MEET_TIMEOUT_MS = 30_000;

/**
 * Starts a PostgreSQL of our own, and manager, scheduler, seed peer and three daemons in this process, each with ports, metrics and tracer of
 * its own.
 */
export async function startCluster(options: UpOptions, { signal }: { signal: AbortSignal }): Promise<RunningCluster> {
  const { dataDir, portBase, otlpEndpoint, logLevel, env } = options;
  await prepareDataDir(dataDir);
  const plan = planCluster({ dataDir, portBase, otlpEndpoint });
  await withPortHint(ensureFreePorts(plan.host, plan.ports));
  await using stack = new AsyncDisposableStack();
  const { rootPassword, startWorker } = stack.use(
    await withPortHint(
      startedIn(dataDir, {
        ...{ plan, otlpEndpoint, logLevel, env, signal },
        onDatabaseEnd: (line) => options.report?.(`PostgreSQL ended and is started again: ${line}`),
      }),
    ),
  );
  const scheduler = readSchedulerConfig({ text: plan.schedulerConfigText, logLevel, env });
  stack.use(await withPortHint(startScheduler(scheduler, { signal, overrides: { processMetrics: true } })));
  const daemons: RunningDfdaemon[] = [];
  for (const { configText } of plan.daemons) {
    const { config } = readDfdaemonConfig({ text: configText, env, uid: process.getuid?.() });
    const started = startDfdaemon(config, { signal, logLevel, overrides: { processMetrics: false } });
    daemons.push(stack.use(await withPortHint(started)));
  }
  await Promise.all(plan.daemons.map(({ socketPath }) => untilMet(socketPath, signal)));
  stack.use(await withPortHint(startWorker()));
  const proof = options.proof ? await proveCluster(plan.daemons, { signal }) : undefined;
  // Made to be proved with only: it need not stay on disk four times.
  if (proof !== undefined) await Promise.all(daemons.map((daemon) => daemon.deleteTask(proof.taskId, { signal })));
  const running = stack.move();
  return { plan, proof, rootPassword, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Says which directory it is that cannot be written to. */
async function startedIn(dataDir: string, options: EmbeddedManagerOptions): Promise<EmbeddedManager> {
  try {
    return await startEmbeddedManager(options);
  } catch (error) {
    const reason = describeSystemError(error, dataDir);
    if (reason === undefined) throw error;
    throw new StartError(`data directory ${reason.includes(dataDir) ? reason : `${dataDir}: ${reason}`} (--data-dir)`, {
      cause: error,
    });
  }
}

/** Says which option moves a port that is taken. */
async function withPortHint<T>(started: Promise<T>): Promise<T> {
  try {
    return await started;
  } catch (error) {
    if (!(error instanceof StartError) || !error.message.includes('in use')) throw error;
    throw new StartError(`${error.message} (--port-base moves all ports)`, { cause: error });
  }
}

async function untilMet(socketPath: string, signal: AbortSignal): Promise<void> {
  const deadlineMs = performance.now() + MEET_TIMEOUT_MS;
  while (!(await readStatus(socketPath)).schedulers.some(({ reachable }) => reachable)) {
    if (performance.now() > deadlineMs) {
      throw new StartError(`the daemon at ${socketPath} did not find the scheduler within ${MEET_TIMEOUT_MS / 1000} s`);
    }
    await sleep(50, undefined, { signal });
  }
}
