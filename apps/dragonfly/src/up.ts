import type { RunningService } from '@d7y/service-kit';
import { startLocalCluster } from './cluster.ts';
import type { UpOptions } from './options.ts';
import { prove } from './proof.ts';
import { instructions, jsonReport, proofTable } from './report.ts';

/**
 * Starts the cluster, proves that it works, says how to use it, and leaves it running.
 * @throws {StartError}
 */
export async function up(
  options: UpOptions,
  { signal, print }: { signal: AbortSignal; print: (text: string) => void },
): Promise<RunningService> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startLocalCluster(options, { signal }));
  const proof = options.proof ? await prove(cluster, { signal }) : undefined;
  if (options.output === 'json') print(`${jsonReport(cluster, proof)}\n`);
  else print(`${proof === undefined ? '' : `${proofTable(proof)}\n`}${instructions(cluster)}`);
  const running = stack.move();
  return { [Symbol.asyncDispose]: () => running.disposeAsync() };
}
