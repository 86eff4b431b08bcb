/** What V8 calls half of its young generation, in MiB: by itself it takes more of a machine with more memory, for nothing that a service here gains. */
const SEMI_SPACE_MIB = 8;
/** Heaps of malloc; each thread that allocates would get one of its own, and gives nothing of it back. */
const MALLOC_ARENAS = '2';
const FLAG = '--max-semi-space-size';

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
  if (execve === undefined || given.some((option) => option.startsWith(FLAG))) return;
  const kept = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  // Not among the arguments: threads inherit those, and refuse what is of the whole process.
  const options = [env['NODE_OPTIONS'] ?? '', `${FLAG}=${SEMI_SPACE_MIB}`].join(' ').trim();
  execve.call(current, execPath, [execPath, ...execArgv, ...argv.slice(1)], {
    MALLOC_ARENA_MAX: MALLOC_ARENAS,
    ...Object.fromEntries(kept),
    NODE_OPTIONS: options,
  });
}
