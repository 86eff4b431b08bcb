/** Virtual time goes in ticks of 20 µs. */
export const TICKS_PER_MS = 50;
