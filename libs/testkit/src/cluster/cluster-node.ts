import type { ChildProgram } from '../process/child-program.ts';
import type { LabHost } from '../network-lab/network-lab.ts';
import { type AppConfig, type Readiness, spawnApp } from './spawn-app.ts';

/** What is needed to start one process of a cluster, and to start it again. */
export interface NodeStart {
  readonly app: string;
  readonly name: string;
  readonly dir: string;
  readonly config: AppConfig;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly ready: Readiness;
  /** Where it runs, in a network lab. */
  readonly host?: LabHost;
}

/** One service of a cluster, which can die and come back with its files, ports and configuration. */
export class ClusterNode implements AsyncDisposable {
  readonly name: string;
  /** Its working folder. */
  readonly dir: string;
  readonly #start: NodeStart;
  readonly #earlierLines: string[] = [];
  #program: ChildProgram | undefined;

  constructor(start: NodeStart) {
    this.#start = start;
    this.name = start.name;
    this.dir = start.dir;
  }

  /**
   * The running process.
   * @throws when it is not started
   */
  get program(): ChildProgram {
    if (this.#program === undefined) throw new Error(`${this.name} is not running`);
    return this.#program;
  }

  /** All it has printed, over all its lives. */
  get lines(): readonly string[] {
    return [...this.#earlierLines, ...(this.#program?.lines ?? [])];
  }

  /** Starts it and waits until it is ready. */
  async start(): Promise<void> {
    if (this.#program !== undefined) throw new Error(`${this.name} is running already`);
    this.#program = await spawnApp(this.#start.app, this.#start);
  }

  /** Ends it with a signal and waits until it is gone; SIGKILL for a crash. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const program = this.#program;
    if (program === undefined) return;
    await program.kill(signal);
    this.#earlierLines.push(...program.lines);
    this.#program = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
  }
}
