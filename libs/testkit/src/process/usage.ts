import { readFileSync } from 'node:fs';

/** Ticks per second of the times in /proc/<pid>/stat: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** What one process has used so far, all its threads together. */
export interface ProcessUsage {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  /** Largest resident size since it started, or since resetPeakRss. */
  readonly peakRssBytes: number;
}

/**
 * Reads the usage of a running process from /proc.
 * @throws when there is no such process
 */
export function readProcessUsage(pid: number): ProcessUsage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    cpuSeconds: cpuSecondsOf(readFileSync(`/proc/${pid}/stat`, 'utf8')),
    rssBytes: kibibytesOf(status, 'VmRSS') * 1024,
    peakRssBytes: kibibytesOf(status, 'VmHWM') * 1024,
  };
}

/** User and system time from the text of /proc/<pid>/stat: fields 14 and 15, counted behind the name, which may hold spaces. */
export function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** A process that has ended but was not waited for has no memory lines: 0. */
function kibibytesOf(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
}
