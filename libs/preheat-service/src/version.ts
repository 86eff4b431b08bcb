/** Version of this program, as it tells other processes and its metrics. */
export const VERSION = '0.0.0';
