import { MANIFEST_MEDIA_TYPES } from '@d7y/oci';

/** Longer headers are not understood: no client needs them. */
const MAX_LENGTH = 2048;
const MEDIA_TYPE = /^[\w!#$&^.+*-]{1,127}\/[\w!#$&^.+*-]{1,127}$/;

/**
 * An Accept header in a form that is equal for requests which a registry answers alike: media types in lower case, sorted, without
 * parameters and without those of no weight. Where all types of manifests and indexes that are cached here are accepted, whatever else is
 * does not matter.
 * @returns undefined for a header that is malformed or too long: what it asks for cannot be told
 */
export function normaliseAccept(header: string | undefined): string | undefined {
  if (header === undefined || header.trim() === '') return '*/*';
  if (header.length > MAX_LENGTH) return undefined;
  const types = new Set<string>();
  for (const part of header.split(',')) {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    if (type === '' && parameters.length === 0) continue;
    if (!MEDIA_TYPE.test(type)) return undefined;
    if (!parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))) types.add(type);
  }
  const isEverything = MANIFEST_MEDIA_TYPES.every((type) => types.has(type));
  return (isEverything ? [...MANIFEST_MEDIA_TYPES] : [...types]).sort().join(',');
}
