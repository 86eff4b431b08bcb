/** Unix time in milliseconds that never runs backwards, whatever is done to the clock of the machine. */
export type Clock = () => number;

export const systemClock: Clock = () => performance.timeOrigin + performance.now();
