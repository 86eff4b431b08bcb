import { readProcessUsage } from '@d7y/testkit';

/** Starts counting the processor time of running processes; the function returned tells how much each has used since. */
export function startCpuMeter(pids: Readonly<Record<string, number>>): () => Record<string, number> {
  const read = () => Object.entries(pids).map(([side, pid]) => [side, readProcessUsage(pid).cpuSeconds] as const);
  const before = new Map(read());
  return () => Object.fromEntries(read().map(([side, seconds]) => [side, seconds - (before.get(side) ?? 0)]));
}

/** Largest resident size of each process since it started. */
export function peakRss(pids: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(pids).map(([side, pid]) => [side, readProcessUsage(pid).peakRssBytes]));
}
