import type { Host } from './host.ts';
import type { Peer } from './peer.ts';

/** Weights of the parts of a score, and of those of the load among them. */
const WEIGHTS = { load: 0.6, idc: 0.2, location: 0.1, hostType: 0.1 } as const;
const LOAD_WEIGHTS = { peak: 0.5, duration: 0.3, concurrency: 0.2 } as const;
/** An upload that would take so long counts as the worst. */
const LONGEST_UPLOAD_SECONDS = 60;
/** Bytes a second that one piece being uploaded is reckoned with. */
const BYTES_PER_UPLOAD = 16 * 1024 * 1024;
/** Elements of a location that count. */
const LOCATION_DEPTH = 5;

/** How good a parent is for a child by the published evaluation: 0 to 1, more is better. */
export const upstreamScore = (parent: Peer, child: Peer): number =>
  WEIGHTS.load * loadScore(parent.host) +
  WEIGHTS.idc * idcScore(parent.host.facts.idc, child.host.facts.idc) +
  WEIGHTS.location * locationScore(parent.host.facts.location, child.host.facts.location) +
  WEIGHTS.hostType * hostTypeScore(parent);

function loadScore(host: Host): number {
  const bandwidth = host.facts.uploadBitsPerSecond ?? 0;
  if (bandwidth <= 0) return 0;
  const { uploads } = host;
  const peak = uploads.bitsPerSecond >= bandwidth ? 0 : 1 - uploads.bitsPerSecond / bandwidth;
  const duration = 1 - Math.min(1, (uploads.contentLength * 8) / bandwidth / LONGEST_UPLOAD_SECONDS);
  const slots = bandwidth / 8 / BYTES_PER_UPLOAD;
  const concurrency = slots <= 1 ? 0 : uploads.pieces <= slots ? 1 : slots / uploads.pieces;
  return LOAD_WEIGHTS.peak * peak + LOAD_WEIGHTS.duration * duration + LOAD_WEIGHTS.concurrency * concurrency;
}

const idcScore = (a = '', b = ''): number => (a !== '' && a.toLowerCase() === b.toLowerCase() ? 1 : 0);

function locationScore(a = '', b = ''): number {
  if (a === '' || b === '') return 0;
  const left = a.toLowerCase();
  const right = b.toLowerCase();
  if (left === right) return 1;
  const others = right.split('|');
  const elements = left.split('|').slice(0, LOCATION_DEPTH);
  const different = elements.findIndex((element, index) => element !== others[index]);
  return (different < 0 ? elements.length : different) / LOCATION_DEPTH;
}

function hostTypeScore({ host, state }: Peer): number {
  if (!host.isSeed) return 0.5;
  return state === 'ReceivedNormal' || state === 'Running' ? 1 : 0;
}
