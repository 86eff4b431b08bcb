import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { DfError } from '@d7y/piece';

/** Programs that tests run, with the Debian 12 package each comes from. */
const DEBIAN_PACKAGE = {
  'docker-registry': 'docker-registry',
  htpasswd: 'apache2-utils',
  openssl: 'openssl',
  curl: 'curl',
  skopeo: 'skopeo',
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  podman: 'podman',
  crun: 'crun',
  ip: 'iproute2',
  tc: 'iproute2',
  nginx: 'nginx-light',
  mount: 'mount',
  dockerd: 'docker.io',
  docker: 'docker.io',
  nft: 'nftables',
  'redis-server': 'redis-server',
} as const;

export type Program = keyof typeof DEBIAN_PACKAGE;

/** A test needs programs that this machine has not got. A test never skips itself for that. */
export class MissingProgramsError extends DfError {
  override readonly name = 'MissingProgramsError';
  readonly code = 'MISSING_PROGRAMS';
  readonly retryable = false;
  readonly programs: readonly Program[];
  constructor(programs: readonly Program[]) {
    const packages = [...new Set(programs.map((program) => DEBIAN_PACKAGE[program]))];
    super(`this test needs ${programs.join(', ')}: apt-get install --no-install-recommends ${packages.join(' ')}`);
    this.programs = programs;
  }
}

/** Where administration programs live; an ordinary user's PATH lacks them. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin'];

/**
 * The file that runs when `program` is called.
 * @returns undefined when no folder of PATH (or sbin) has it
 */
export function findProgram(program: string, path = process.env['PATH'] ?? ''): string | undefined {
  return [...path.split(delimiter), ...SYSTEM_FOLDERS]
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/**
 * Checks that a test can run here.
 * @throws {MissingProgramsError} naming the packages to install
 */
export function requirePrograms(programs: readonly Program[], path?: string): void {
  const missing = programs.filter((program) => findProgram(program, path) === undefined);
  if (missing.length > 0) throw new MissingProgramsError(missing);
}
