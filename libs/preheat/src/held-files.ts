import { type Connect, isHeldBy } from './daemon-calls.ts';
import { each } from './each.ts';
import type { PreheatHost } from './targets.ts';

/** A file, and the ids under which daemons may hold it. */
export interface NamedFile {
  readonly url: string;
  readonly taskIds: readonly string[];
}

/** Where one daemon has files. */
export interface HeldFile<Host> {
  readonly host: Host;
  readonly urls: readonly string[];
}

/**
 * Asks daemons which of the files they hold whole.
 * @returns those that hold something, and how many did not answer
 * @throws the reason of the signal
 */
export async function askWhoHolds<Host extends PreheatHost>(
  hosts: Iterable<Host>,
  files: readonly NamedFile[],
  {
    connect,
    concurrentHosts,
    concurrentFiles,
  }: { readonly connect: Connect<Host>; readonly concurrentHosts: number; readonly concurrentFiles: number },
  { signal }: { signal: AbortSignal },
): Promise<{ readonly held: readonly HeldFile<Host>[]; readonly silent: number }> {
  const found: HeldFile<Host>[] = [];
  let silent = 0;
  const ask = async (host: Host): Promise<void> => {
    const held = new Set<string>();
    let isSilent = false;
    await each(
      files,
      concurrentFiles,
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
    if (held.size > 0) found.push({ host, urls: files.map(({ url }) => url).filter((url) => held.has(url)) });
  };
  await each(hosts, concurrentHosts, ask, { signal });
  signal.throwIfAborted();
  return { held: found, silent };
}
