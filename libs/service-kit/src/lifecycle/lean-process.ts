/**
 * Options of V8, which by itself takes of a machine with more memory more of it, for nothing that a service here gains: up to 128 MiB for
 * the young generation, and an old one that doubles before anything is collected.
 */
export interface Leanness {
  /** MiB of each half of the young generation: the more, the less often it is collected. */
  readonly semiSpaceMib?: number;
  /**
   * Percent by which the old generation grows, after a collection, before the next one; V8 chooses when it is absent, up to 300. More means fewer
   * and longer pauses: a collection takes the time that its garbage takes, and the heap is that much larger.
   */
  readonly oldGrowthPercent?: number;
  /** Keeps less of what is compiled, which costs a service of many small calls a fifth of its speed. */
  readonly optimizeForSize?: boolean;
  /** Threads on which V8 collects and compiles beside the program; four by itself, which on a machine of few processors take them from it. */
  readonly helperThreads?: number;
  /**
   * False: nothing is put among the old objects as soon as it is made. V8 does so with what tends to live long; what it learned under a heavy
   * load holds for good, and then every call leaves garbage that only a long collection takes away.
   */
  readonly tenuresEarly?: boolean;
}

/** An operator who sets this has decided. */
const DECISIVE = '--max-semi-space-size';
/**
 * Of malloc: each thread that allocates would get a heap of its own, and buffers of pieces would come to lie in there, where free memory is
 * kept.
 */
const MALLOC = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: String(128 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(128 * 1024),
};

export interface LeanProcess {
  readonly execPath: string;
  /** Options of Node itself. */
  readonly execArgv: readonly string[];
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absent where a process cannot be replaced. */
  readonly execve?: ((file: string, args: string[], env: Record<string, string>) => void) | undefined;
}

/**
 * Starts the program anew in this same process (same id, same open files), with bounds on memory that can be set at the start only.
 * Does nothing when whoever started it has set the bound, here or in NODE_OPTIONS. To be called before anything is opened, and by a module
 * that is loaded before all others: those would be loaded twice.
 */
export function becomeLean(
  { semiSpaceMib = 4, oldGrowthPercent, optimizeForSize = true, helperThreads, tenuresEarly = true }: Leanness = {},
  current: LeanProcess = process,
): void {
  const { execPath, execArgv, argv, env, execve } = current;
  const given = [...execArgv, ...(env['NODE_OPTIONS'] ?? '').split(/\s+/)];
  if (execve === undefined || given.some((option) => option.startsWith(DECISIVE))) return;
  const flags = [
    `${DECISIVE}=${semiSpaceMib}`,
    ...(oldGrowthPercent === undefined ? [] : [`--heap-growing-percent=${oldGrowthPercent}`]),
    ...(optimizeForSize ? ['--optimize-for-size'] : []),
    ...(helperThreads === undefined ? [] : [`--v8-pool-size=${helperThreads}`]),
    ...(tenuresEarly ? [] : ['--no-allocation-site-pretenuring']),
  ];
  const kept = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  execve.call(current, execPath, [execPath, ...execArgv, ...flags, ...argv.slice(1)], {
    ...MALLOC,
    ...Object.fromEntries(kept),
  });
}
