import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { LoadCommand, LoadResult } from './load-commands.ts';

type Reply = { readonly result: LoadResult } | { readonly error: string };

/** The daemons of a benchmark, in a process of their own. */
export class LoadProcess implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor() {
    // Its collections of garbage would take the processors from what is measured.
    const execArgv = ['--conditions=@d7y/source', '--v8-pool-size=1'];
    this.#child = fork(new URL('load.ts', import.meta.url), { execArgv });
  }

  /** @throws when the process cannot do it */
  async tell(command: LoadCommand): Promise<LoadResult> {
    const ended = new AbortController();
    const replied = once(this.#child, 'message', { signal: ended.signal }) as Promise<[Reply]>;
    const exited = once(this.#child, 'exit', { signal: ended.signal }).then(() => {
      throw new Error('the load process has ended');
    });
    this.#child.send(command);
    try {
      const [reply] = await Promise.race([replied, exited]);
      if ('error' in reply) throw new Error(reply.error);
      return reply.result;
    } finally {
      ended.abort();
      for (const promise of [replied, exited]) promise.catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
