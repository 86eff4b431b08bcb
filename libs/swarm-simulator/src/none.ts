/** No member, host, transfer or event. */
export const NONE = -1;
