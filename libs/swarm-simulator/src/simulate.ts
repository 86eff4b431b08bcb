import { meshPolicy, upstreamPolicy } from '@d7y/swarm';
import type { Settings } from './settings.ts';
import { Simulation } from './simulation.ts';
import type { Outcome } from './outcome.ts';

export interface SimulatePorts {
  /** Processor time so far, in ms; for the cost of the scheduler's decisions only. */
  readonly cpuMs: () => number;
}

/** Runs one swarm from the first request to the last verified byte. The same settings give the same outcome, but for processor time. */
export function simulate(settings: Settings, { cpuMs }: SimulatePorts): Outcome {
  const { parents, sample } = settings.stock;
  const policy =
    settings.policy === 'mesh'
      ? meshPolicy
      : upstreamPolicy({ candidateParentLimit: parents, filterParentLimit: sample });
  const swarmOptions = { policy, ownCandidateParentLimit: settings.daemon.parents, maxHosts: 1_000_000 };
  return new Simulation(settings, { swarmOptions, cpuMs }).run();
}
