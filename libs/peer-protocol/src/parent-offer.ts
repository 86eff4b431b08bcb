import { isIP } from 'node:net';
import { common } from '@d7y/api';
import type { Parent } from './parent.ts';

/** More candidates than this in one answer are not looked at. */
const MAX_PARENTS = 64;

/**
 * The usable parents among the candidates of a scheduler's answer.
 * @param onInvalid is told of every candidate that cannot be used, and why
 */
export function parseParents(
  offers: readonly common.Peer[],
  onInvalid: (peerId: string, reason: string) => void,
): Parent[] {
  const parents: Parent[] = [];
  for (const offer of offers.slice(0, MAX_PARENTS)) {
    const parent = parseParent(offer);
    if (typeof parent === 'string') onInvalid(offer.id, parent);
    else parents.push(parent);
  }
  return parents;
}

/** @returns the parent, or what is wrong with it */
function parseParent(offer: common.Peer): Parent | string {
  const { host, task } = offer;
  if (host === undefined) return 'it has no host';
  const fault = parentFaultOf({ peerId: offer.id, hostId: host.id, ip: host.ip, port: host.port });
  if (fault !== undefined) return fault;
  return {
    peerId: offer.id,
    hostId: host.id,
    ip: host.ip,
    port: host.port,
    isSeed: host.type !== 0,
    idc: host.network?.idc,
    location: host.network?.location,
    isPrivate: offer.priority === common.Priority.LEVEL3,
    isComplete: offer.state === 'Succeeded',
    contentLength: positive(task?.contentLength),
    pieceLength: pieceLengthOf(task),
    offer,
  };
}

/** @returns why nothing can be fetched from there; undefined when it can */
export function parentFaultOf({
  peerId,
  hostId,
  ip,
  port,
}: {
  readonly peerId: string;
  readonly hostId: string;
  readonly ip: string;
  readonly port: number;
}): string | undefined {
  if (peerId === '') return 'it has no id';
  if (hostId === '') return 'it has no host';
  if (isIP(ip) === 0) return `"${ip}" is not an IP address`;
  return isPort(port) ? undefined : `${port} is not a port`;
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65536;
}

/** 0 stands for a length nobody told, and schedulers keep -1 (as a huge number) after a failed download. */
function positive(value: bigint | undefined): number | undefined {
  const number = Number(value ?? 0n);
  return number > 0 && Number.isSafeInteger(number) ? number : undefined;
}

/** Only listed pieces tell the piece length, and only one that is not the first. */
function pieceLengthOf(task: common.Task | undefined): number | undefined {
  const later = task?.pieces.find(({ number }) => number > 0);
  const length = later === undefined ? undefined : positive(later.offset);
  return later === undefined || length === undefined || length % later.number !== 0 ? undefined : length / later.number;
}
