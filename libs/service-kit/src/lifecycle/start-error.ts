import { DfError } from '@d7y/piece';
import { isError } from '../observe/is-error.ts';
import { safeText } from '../observe/redact.ts';

/** A service cannot start, for a reason its operator can remove. The message is one line: what, where, remedy. */
export class StartError extends DfError {
  override readonly name = 'StartError';
  readonly code = 'START';
  readonly retryable = false;
}

/** The one line to print when a start failed; never more than one, never with secrets. */
export function describeStartError(error: unknown): string {
  const text = describeSystemError(error) ?? (isError(error) ? error.message || error.name : String(error));
  return safeText(text.replace(/\s*\n\s*/g, ' ').trim());
}

/**
 * One line for an error of the operating system that an operator can do something about; undefined for anything else.
 * @param at what it happened to, for errors that do not say so themselves
 */
export function describeSystemError(error: unknown, at?: string): string | undefined {
  if (!isError(error) || error instanceof DfError) return undefined;
  const { code, syscall, path, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  const where =
    path ?? (port === undefined || port < 0 ? address : `${address ?? ''}:${port}`) ?? at ?? syscall ?? 'system';
  switch (code) {
    case 'EADDRINUSE':
      return port === undefined || port < 0
        ? `${where}: another process listens on this socket, stop it or configure another path`
        : `port ${port} (${address ?? 'any address'}) is in use, stop the other process or configure another port`;
    case 'EADDRNOTAVAIL':
      return `${where}: this machine does not have the address, configure one it has`;
    case 'EACCES':
    case 'EPERM':
      return syscall === 'listen' || syscall === 'bind'
        ? `${where}: no permission to listen there, choose a port above 1023 or grant the permission`
        : `${where}: permission denied, change its owner or mode or run as another user`;
    case 'EROFS':
      return `${where}: the file system is read-only, mount it writable or configure another path`;
    case 'ENOSPC':
      return `${where}: no space left on the device, free some or configure another path`;
    case 'ENOENT':
      return `${where}: no such file or directory, create it or configure another path`;
    case 'ENOTDIR':
      return `${where}: a part of the path is not a directory, remove it or configure another path`;
    case 'EISDIR':
      return `${where}: is a directory, configure the path of a file`;
    case 'EMFILE':
    case 'ENFILE':
      return `${where}: too many open files, raise the limit (ulimit -n)`;
    case undefined:
    default:
      return undefined;
  }
}
