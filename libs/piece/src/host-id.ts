/** Id of a machine: the same after every restart. */
export function hostIdOf(host: { ip: string; hostname: string; isSeed: boolean }): string {
  return `${host.ip}-${host.hostname}${host.isSeed ? '-seed' : ''}`;
}

/**
 * Id of one download of one task on one machine.
 * @param uuid a fresh version 4 UUID
 */
export function peerIdOf(host: { ip: string; hostname: string; isSeed: boolean }, uuid: string): string {
  return `${host.ip}-${host.hostname}-${uuid}${host.isSeed ? '-seed' : ''}`;
}
