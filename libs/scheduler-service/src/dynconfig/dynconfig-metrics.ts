import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Dynconfig } from './dynconfig.ts';

/** How old the settings of the cluster are, so that an outage of the manager is seen although nothing fails. */
export function watchDynconfig(registry: Registry, dynconfig: Dynconfig): void {
  new Gauge({
    name: 'dragonfly_scheduler_dynconfig_age_seconds',
    help: 'since the settings of the cluster were last confirmed; -1 while they never were',
    registers: [registry],
    collect() {
      const { ageMs } = dynconfig;
      this.set(ageMs === undefined ? -1 : ageMs / 1000);
    },
  });
  new Gauge({
    name: 'dragonfly_scheduler_dynconfig_failing',
    help: '1 while the settings of the cluster cannot be had',
    registers: [registry],
    collect() {
      this.set(dynconfig.isFailing ? 1 : 0);
    },
  });
}
