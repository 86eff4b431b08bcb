/** What came of a run. Times in ms from the first request. */
export interface Outcome {
  readonly optimumMs: number;
  /** Of each normal host in order: from the first request, in a rolling start its own, to its last verified byte; Infinity when it did not finish. */
  readonly hostMs: Float64Array;
  /** Whether the host of that number shares and sends at the full rate. */
  readonly isNormal: Uint8Array;
  readonly originBytes: number;
  readonly crossZoneBytes: number;
  readonly piecesDelivered: number;
  readonly registrations: number;
  readonly schedulerMessages: number;
  readonly schedulerCpuMs: number;
  /** Requests for a piece that was asked of somebody else as well. */
  readonly hedges: number;
  /** Mean use of all uplinks over time, in steps of a twentieth of the bound. */
  readonly uplinkUse: readonly number[];
}

/** What is counted on the way. */
export class Tally {
  /** Downloads of peers that are not over. */
  unfinished = 0;
  originBytes = 0;
  crossZoneBytes = 0;
  piecesDelivered = 0;
  registrations = 0;
  schedulerMessages = 0;
  schedulerCpuMs = 0;
  hedges = 0;
  readonly uplinkUse: number[] = [];
}
