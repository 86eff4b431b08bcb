/**
 * Options of V8. By itself it takes of a machine with more memory more of it, for nothing that a service here gains: up to 128 MiB for the
 * young generation, and an old one that doubles before anything is collected.
 */
const FLAGS = ['--max-semi-space-size=4', '--optimize-for-size'];
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
 * Does nothing when whoever started it has set the bound, here or in NODE_OPTIONS. To be called before anything is opened.
 */
export function becomeLean(current: LeanProcess = process): void {
  const { execPath, execArgv, argv, env, execve } = current;
  const given = [...execArgv, ...(env['NODE_OPTIONS'] ?? '').split(/\s+/)];
  if (execve === undefined || given.some((option) => option.startsWith(DECISIVE))) return;
  const kept = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  execve.call(current, execPath, [execPath, ...execArgv, ...FLAGS, ...argv.slice(1)], {
    ...MALLOC,
    ...Object.fromEntries(kept),
  });
}
