import { networkInterfaces } from 'node:os';

/** The first address of this machine that is not loopback, or loopback where there is no other. */
export function firstAddress(family: 'IPv4' | 'IPv6'): string {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const found = addresses.find(
    (entry) => entry.family === family && !entry.internal && !entry.address.startsWith('fe80'),
  );
  return found?.address ?? (family === 'IPv4' ? '127.0.0.1' : '::1');
}

/** Only this machine reaches such an address; undefined stands for every address. */
export function isLoopbackAddress(ip: string | undefined): boolean {
  return ip !== undefined && (ip === '::1' || ip === 'localhost' || ip.startsWith('127.'));
}
