import type { DeliveryFacts } from './facts.ts';
import type { Host } from './host.ts';

/** Weight of a new report of a host against those before it … */
const WEIGHT = 0.2;
/** … and against all reports: of what is usual the last hundred tell, so that a few in a row of one host are not what it is measured by. */
const USUAL_WEIGHT = 0.01;
/** Reports before a host is judged, and of all hosts before any is. */
const MIN_REPORTS = 4;
/** Children among them: one alone may itself be what is slow. */
const MIN_CHILDREN = 2;
/** A host is slow below this part of what is usual, and no longer slow above that. */
const SLOW_BELOW = 0.25;
const FAST_ABOVE = 0.5;
/** Smaller pieces, in bytes, say more of latency than of bandwidth. */
const MIN_PIECE_BYTES = 256 * 1024;

/** Logarithms of rates, so that one that is far off counts no more than one that is far off the other way. */
interface Average {
  reports: number;
  logRate: number;
}

/** How fast hosts upload by what their children report. Hosts drop out with their objects. */
export class UploadHealth {
  readonly #hosts = new WeakMap<Host, Average & { readonly children: string[] }>();
  readonly #all: Average = { reports: 0, logRate: 0 };

  /**
   * @param childHostId who says so
   * @returns whether the host is found slow, or no longer so, and was not before
   */
  report(host: Host, childHostId: string, { pieces, bytes, durationMs }: DeliveryFacts): boolean {
    if (pieces <= 0 || durationMs <= 0 || bytes / pieces < MIN_PIECE_BYTES) return false;
    const logRate = Math.log(bytes / durationMs);
    let own = this.#hosts.get(host);
    if (own === undefined) this.#hosts.set(host, (own = { reports: 0, logRate, children: [] }));
    if (own.children.length < MIN_CHILDREN && !own.children.includes(childHostId)) own.children.push(childHostId);
    include(own, logRate, WEIGHT);
    include(this.#all, logRate, USUAL_WEIGHT);
    if (own.children.length < MIN_CHILDREN) return false;
    if (own.reports < MIN_REPORTS || this.#all.reports < 4 * MIN_REPORTS) return false;
    const ratio = Math.exp(own.logRate - this.#all.logRate);
    const isSlow = ratio < (host.isSlow ? FAST_ABOVE : SLOW_BELOW);
    if (isSlow === host.isSlow) return false;
    host.isSlow = isSlow;
    return true;
  }
}

function include(average: Average, logRate: number, weight: number): void {
  average.reports++;
  // The first ones count alike.
  average.logRate += Math.max(weight, 1 / average.reports) * (logRate - average.logRate);
}
